# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Models of XNU's sockets and socket filters."""

from dataclasses import dataclass


@dataclass
class Socket:
    """A socket: its domain, type and protocol, and its addresses as bytes of a sockaddr."""

    domain: int
    kind: int
    protocol: int
    local: bytes = b""
    remote: bytes = b""
