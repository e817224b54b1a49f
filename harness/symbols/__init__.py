# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Look up functions, files and lines for addresses, in ELF files, DWARF and dSYMs."""
