# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""From addresses to functions, files and lines: ELF, DWARF and dSYM."""
