# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find and parse the reports of kernel crashes in console logs. Pure: lines in, values out."""
