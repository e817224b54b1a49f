# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Values that pass between the packages of the harness. Nothing here reads or writes."""
