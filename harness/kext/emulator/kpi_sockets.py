# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Models of XNU functions for sockets and socket filters.

Arguments and results are register values: addresses of emulated memory, handles and error numbers.
"""

import struct
from functools import partial

from harness.errors import RuleBroken
from harness.kext.emulator.core import Core
from harness.kext.emulator.registry import kpi
from harness.kext.emulator.state import Filter, Socket
from harness.kext.emulator.threads import Process

_FILTER = "bsd/kern/kpi_socketfilter.c"
_SOCKET = "bsd/kern/kpi_socket.c"
_ENOENT, _EEXIST, _ENOMEM, _ENOTCONN = 2, 17, 12, 57
_EXTENDED = 0x4
_AF_INET = 2
# The extension at the end of struct sflt_filter: its length, `accept`, and five reserved pointers.
_EXT_BYTES = 56
# The offsets of the functions in struct sflt_filter.
_CALLS = {
    "unregistered": 16,
    "attach": 24,
    "detach": 32,
    "notify": 40,
    "connect_out": 88,
    "bind": 96,
    "listen": 120,
    "accept": 144,
}


@kpi("_sflt_register", 4, source=_FILTER, sleeps=True, failure=_ENOMEM)
def register(kernel: Core, place: int, domain: int, kind: int, protocol: int) -> int:
    """Emulate sflt_register: register the socket filter whose sflt_filter is at `place`; return 0.

    It is attached to sockets of this domain, type and protocol that are created from now on.
    Return EEXIST for a handle in use. A test can make it fail with ENOMEM.
    Raises: RuleBroken for a filter that could never be unregistered, or has a wrong extension.
    """
    handle, flags = struct.unpack("<2I", kernel.cpu.read(place, 8))
    (length,) = struct.unpack("<I", kernel.cpu.read(place + 136, 4))
    if not flags & _EXTENDED or length != _EXT_BYTES:
        raise RuleBroken("a filter without an extension, or with an extension of the wrong length")
    if handle in kernel.state.filters:
        return _EEXIST
    calls = {
        name: int.from_bytes(kernel.cpu.read(place + offset, 8), "little")
        for name, offset in _CALLS.items()
    }
    if not calls["unregistered"]:
        raise RuleBroken(
            "a filter without an 'unregistered' function: the kext could never be unloaded"
        )
    kernel.state.filters[handle] = Filter(
        handle=handle, domain=domain, kind=kind, protocol=protocol, calls=calls
    )
    return 0


@kpi("_sflt_unregister", 1, source=_FILTER, sleeps=True)
def unregister(kernel: Core, handle: int) -> int:
    """Emulate sflt_unregister: mark a socket filter as unregistered, and return 0.

    As XNU's sflt_cleanup_thread does, `Kernel.pass_time` detaches it later.
    Raises: RuleBroken for a handle that is not registered.
    """
    found = kernel.state.filters.get(handle & 0xFFFFFFFF)
    if found is None or not found.is_registered:
        raise RuleBroken(f"sflt_unregister of {handle:#x}, which is not registered")
    found.is_registered = False
    kernel.background.append(partial(_clean_up, kernel, found))
    return 0


def _clean_up(kernel: Core, found: Filter) -> None:
    """Detach an unregistered filter from its sockets, then call its 'unregistered' function."""
    for so, cookie in found.sockets.items():
        detach(kernel, kernel.nobody, found, so, cookie)
    del kernel.state.filters[found.handle]
    call = found.calls["unregistered"], (found.handle,)
    kernel.threads.finish(kernel.begin("unregistered", kernel.nobody, *call))


def detach(kernel: Core, process: Process, found: Filter, so: int, cookie: int) -> None:
    """Call a socket filter's 'detach' function for a socket, which may have lost its PCB (so_pcb).

    `cookie` is what the filter's 'attach' function stored for this socket.
    """
    if found.calls["detach"]:
        call = found.calls["detach"], (cookie, so)
        kernel.threads.finish(kernel.begin("detach", process, *call))


def _locked(kernel: Core, so: int) -> Socket:
    """Return an emulated socket, after checking that XNU could take its lock.

    Raises: RuleBroken for a closed socket, and for one without a PCB, where XNU's tcp_lock and
        udp_lock would panic.
    """
    found = kernel.sockets.get(so)
    if found is None:
        raise RuleBroken(f"{so:#x} is not a socket, or was closed")
    if not found.has_pcb:
        raise RuleBroken(f"the socket {so:#x} is locked without a PCB, which would panic")
    return found


@kpi("_sock_gettype", 4, source=_SOCKET, sleeps=True)
def gettype(kernel: Core, so: int, domain: int, kind: int, protocol: int) -> int:
    """Emulate sock_gettype: write a socket's domain, type and protocol to these addresses.

    Return 0.
    """
    found = _locked(kernel, so)
    for place, value in ((domain, found.domain), (kind, found.kind), (protocol, found.protocol)):
        kernel.cpu.write(place, struct.pack("<i", value))
    return 0


@kpi("_sock_getsockname", 3, source=_SOCKET, sleeps=True, failure=_ENOMEM)
def getsockname(kernel: Core, so: int, place: int, most: int) -> int:
    """Emulate sock_getsockname: write a socket's own sockaddr to the address `place`; return 0.

    At most `most` bytes are written. For a socket that is not bound, the sockaddr has only its
    length and family; the rest is zero. A test can make it fail with ENOMEM.
    """
    found = _locked(kernel, so)
    size = 16 if found.domain == _AF_INET else 28
    name = found.local or struct.pack("2B", size, found.domain).ljust(size, b"\0")
    kernel.cpu.write(place, name[: most & 0xFFFFFFFF])
    return 0


@kpi("_sock_getpeername", 3, source=_SOCKET, sleeps=True, failure=_ENOMEM)
def getpeername(kernel: Core, so: int, place: int, most: int) -> int:
    """Emulate sock_getpeername: write the sockaddr of a socket's peer to the address `place`.

    At most `most` bytes are written. Return 0, or ENOTCONN for a socket without a peer. A test can
    make it fail with ENOMEM.
    """
    found = _locked(kernel, so)
    if not found.remote:
        return _ENOTCONN
    kernel.cpu.write(place, found.remote[: most & 0xFFFFFFFF])
    return 0
