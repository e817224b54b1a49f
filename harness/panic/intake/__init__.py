# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Convert a log of any form into the lines of a kernel."""
