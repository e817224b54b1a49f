# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Wire formats: the GDB remote protocol, DAP, QMP and KDP. They are independent of guests."""
