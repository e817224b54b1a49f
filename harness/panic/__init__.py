# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Parse console lines into reports of kernel crashes. Pure: lines in, values out."""
