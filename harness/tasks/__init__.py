# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The commands, by subject; tasks.py at the top collects them. Only they print."""
