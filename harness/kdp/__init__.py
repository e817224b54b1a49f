# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""KDP, the protocol by which an XNU kernel is debugged over UDP: codec, client, bridge, stub."""
