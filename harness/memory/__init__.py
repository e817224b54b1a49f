# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read a guest's memory with drgn, from a running guest or from a dump."""
