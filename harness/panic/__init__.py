# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""From console lines to what the kernel reported. Pure: lines in, values out."""
