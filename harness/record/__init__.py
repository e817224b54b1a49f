# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Time travel: record a guest in QEMU, then replay the recording under a debugger."""
