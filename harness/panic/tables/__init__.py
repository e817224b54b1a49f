# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tables that interpret the kernel's log: first lines of reports, and names of functions."""
