# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Attach gdb or lldb to a guest, to a recording, or to a kernel over KDP."""
