# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Systems that the users boot themselves: their descriptions, power, crash logs and disks."""
