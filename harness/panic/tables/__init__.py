# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tables for reading a kernel's log: the first lines of reports, and the roles of functions."""
