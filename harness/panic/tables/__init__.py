# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the kernel's words mean, as tables: first lines of reports, and names of functions."""
