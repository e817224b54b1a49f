# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Socket calls of emulated processes, which call the kext's socket filters as XNU does.

Source: xnu-11417.101.15, bsd/kern/kpi_socketfilter.c, bsd/kern/uipc_socket.c.
"""

import ipaddress
import struct
from collections.abc import Iterator

from harness.errors import RuleBroken
from harness.kext.emulator.kernel import Kernel, signed
from harness.kext.emulator.kpi_sockets import detach
from harness.kext.emulator.state import Filter, Socket
from harness.kext.emulator.threads import Process

# These are macOS's numbers; the host's module `socket` has another one for IPv6.
AF_INET, AF_INET6 = 2, 30
STREAM, DATAGRAM = 1, 2
_CONNECTED, _CLOSING = 2, 9


def address(text: str, port: int) -> bytes:
    """Return an IP address and port as the bytes of a macOS sockaddr_in or sockaddr_in6."""
    found = ipaddress.ip_address(text)
    if found.version == 4:
        return struct.pack(">2BH4s8x", 16, AF_INET, port, found.packed)
    return struct.pack(">2BHI16sI", 28, AF_INET6, port, 0, found.packed, 0)


class Network:
    """The socket calls of emulated processes: socket, connect, bind, listen, accept and close."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def socket(self, process: Process, domain: int, kind: int) -> int:
        """Create a socket, and return the address that stands for it.

        The kext's filters for its domain, type and protocol are attached.
        """
        kernel = self.kernel
        protocol = 6 if kind == STREAM else 17
        so = kernel.cpu.opaque()
        kernel.sockets[so] = Socket(domain=domain, kind=kind, protocol=protocol)
        wanted = (domain, kind, protocol)
        for one in list(kernel.state.filters.values()):
            if one.is_registered and (one.domain, one.kind, one.protocol) == wanted:
                place = kernel.cpu.allocate(8)
                self._ask(process, one, "attach", place, so)
                one.sockets[so] = int.from_bytes(kernel.cpu.read(place, 8), "little")
                kernel.cpu.free(place, 8)
        return so

    def connect(self, process: Process, so: int, to: bytes) -> None:
        """Connect a socket to the sockaddr `to`.

        The kext's filters are asked before (connect_out) and notified afterwards.
        """
        self._with_address(process, so, "connect_out", to)
        self.kernel.sockets[so].remote = to
        for one in self._filters(so):
            self._tell(process, one, "notify", one.sockets[so], so, _CONNECTED, 0)

    def bind(self, process: Process, so: int, to: bytes) -> None:
        """Call the 'bind' functions of the socket's filters, then bind it to the sockaddr `to`."""
        self._with_address(process, so, "bind", to)
        self.kernel.sockets[so].local = to

    def listen(self, process: Process, so: int) -> None:
        """Call the 'listen' functions of the socket's filters."""
        for one in self._filters(so):
            self._ask(process, one, "listen", one.sockets[so], so)

    def accept(self, process: Process, listener: int, peer: bytes) -> int:
        """Accept a connection from the sockaddr `peer`, and return the new socket.

        The 'accept' functions of the new socket's filters are called.
        """
        made = self.kernel.sockets[listener]
        so = self.socket(process, made.domain, made.kind)
        self.kernel.sockets[so].local, self.kernel.sockets[so].remote = made.local, peer
        local, remote = self._put(made.local), self._put(peer)
        for one in self._filters(so):
            self._ask(process, one, "accept", one.sockets[so], listener, so, local, remote)
        self._drop(local, made.local)
        self._drop(remote, peer)
        return so

    def close(self, process: Process, so: int) -> None:
        """Close a socket: notify its filters, remove its PCB, then detach the filters."""
        for one in self._filters(so):
            self._tell(process, one, "notify", one.sockets[so], so, _CLOSING, 0)
        self.kernel.sockets[so].has_pcb = False
        for one in self._filters(so):
            detach(self.kernel, process, one, so, one.sockets.pop(so))
        del self.kernel.sockets[so]

    def _filters(self, so: int) -> Iterator[Filter]:
        filters = tuple(self.kernel.state.filters.values())
        return (one for one in filters if one.is_registered and so in one.sockets)

    def _with_address(self, process: Process, so: int, name: str, to: bytes) -> None:
        place = self._put(to)
        for one in self._filters(so):
            self._ask(process, one, name, one.sockets[so], so, place)
        self._drop(place, to)

    def _put(self, data: bytes) -> int:
        place = self.kernel.cpu.allocate(len(data))
        self.kernel.cpu.write(place, data)
        return place

    def _drop(self, place: int, data: bytes) -> None:
        self.kernel.cpu.free(place, len(data))

    def _tell(self, process: Process, one: Filter, name: str, *arguments: int) -> int:
        return self.kernel.call(name, process, one.calls[name], arguments)

    def _ask(self, process: Process, one: Filter, name: str, *arguments: int) -> None:
        """Call a function of a socket filter of the kext, and check that it returns 0.

        Raises: RuleBroken when it returns an error, by which the filter would refuse the process's
            call.
        """
        answer = signed(self._tell(process, one, name, *arguments))
        if answer:
            raise RuleBroken(
                f"the filter's {name} returns {answer}, which stops the process's call"
            )
