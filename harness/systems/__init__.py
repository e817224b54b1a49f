# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Work in a running system that is reached over a shell, whoever booted it."""
