# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Systems that the users boot themselves: their specification, power, logs and disks."""
