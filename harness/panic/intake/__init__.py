# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""From a log of any form to the lines of a kernel."""
