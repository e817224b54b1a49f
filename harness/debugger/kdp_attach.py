# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Attach lldb to an XNU kernel (`debug-attach --via kdp`), through the harness's KDP bridge.

lldb on a Mac speaks KDP itself, so on a Mac it is started without the bridge.
"""

import platform
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.debugger import command_file
from harness.debugger.command_file import KdpSpec
from harness.errors import DebugError, UsageError
from harness.host import debuggers, foreground
from harness.host.debuggers import Debugger
from harness.protocols.kdp.bridge import Bridge
from harness.protocols.kdp.client import KdpClient
from harness.protocols.kdp.packets import KDP_PORT
from harness.protocols.kdp.target import KdpTarget
from harness.protocols.rsp_socket import Link, accept_connection, listening

Progress = Callable[[str], None]
_ACCEPT_S = 60.0
_LEAVE_S = 20.0
_LAST_PORT = 65535
# Numbers of mach-o/loader.h.
_MAGIC_64 = 0xFEEDFACF
_SEGMENT_64 = 0x19
_HEADER_BYTES = 32
# The least size of a load command: its number and its size.
_COMMAND_BYTES = 8


@dataclass(frozen=True, kw_only=True)
class KdpRequest:
    """A request to debug an XNU kernel: its address, its Mach-O file, and lldb's commands.

    lldb's command file and the bridge's socket are made in `folder`.
    """

    host: str
    port: int
    kernel: Path
    folder: Path
    breakpoints: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


def endpoint(text: str) -> tuple[str, int]:
    """Return host and port of HOST[:PORT], with KDP's port as the default.

    Raises: UsageError without a host, or for an invalid port.
    """
    host, colon, digits = text.partition(":")
    port = int(digits) if digits.isascii() and digits.isdigit() else 0
    if not host or (colon and not 0 < port <= _LAST_PORT):
        raise UsageError(f"'{text}' does not name a kernel: HOST[:PORT] is expected")
    return host, port if colon else KDP_PORT


def attach(request: KdpRequest, progress: Progress) -> int:
    """Attach lldb to a kernel that waits for a debugger; return lldb's exit status.

    Raises: UsageError for a kernel file that is no Mach-O, or without lldb; DebugError when the
        kernel does not answer, refuses, or does not report its address.
    """
    linked_at = text_address(request.kernel)
    program = debuggers.choose("lldb")
    if platform.system() == "Darwin":
        connection = command_file.own_connection(request.host, request.port)
        return foreground.run(_command(request, program, connection, slide=None))
    path = request.folder / "gdb"
    with KdpClient(request.host, request.port) as client, listening(path) as listener:
        target = client.connect()
        progress(target.banner)
        connection = command_file.bridge_connection(path)
        line = _command(request, program, connection, slide=_slide(target, linked_at))
        with _bridging(listener, client, progress):
            return foreground.run(line)


def _command(
    request: KdpRequest, program: debuggers.Program, connection: str, *, slide: int | None
) -> list[str]:
    """Write lldb's command file, and return lldb's command line."""
    spec = KdpSpec(
        kernel=request.kernel,
        connection=connection,
        slide=slide,
        breakpoints=request.breakpoints,
        commands=request.commands,
    )
    script = request.folder / "debug.lldb"
    script.write_text(command_file.kdp_text(spec))
    return command_file.command_line(
        Debugger.LLDB, str(program.path), script, batch=bool(request.commands)
    )


@contextmanager
def _bridging(listener: socket.socket, client: KdpClient, progress: Progress) -> Iterator[None]:
    """Run the KDP bridge for one debugger in a thread while the block runs.

    If the connection to the kernel fails, a line of progress says why.
    """
    over = threading.Event()

    def serve() -> None:
        try:
            connection = accept_connection(
                listener, deadline_s=_ACCEPT_S, wanted=lambda: not over.is_set()
            )
            if connection is not None:
                Bridge(Link(connection), client).serve()
        except DebugError as error:
            progress(f"the connection to the kernel ends: {error.message}")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_LEAVE_S)


def text_address(kernel: Path) -> int:
    """Return the address at which a Mach-O's __TEXT is linked.

    Raises: UsageError when the file cannot be read, or is not a 64-bit Mach-O with a __TEXT.
    """
    try:
        data = kernel.read_bytes()
        (magic,) = struct.unpack_from("<I", data)
        count = struct.unpack_from("<I", data, 16)[0] if magic == _MAGIC_64 else 0
        position = _HEADER_BYTES
        for _ in range(count):
            command, size = struct.unpack_from("<II", data, position)
            name = data[position + 8 : position + 24].rstrip(b"\0")
            if command == _SEGMENT_64 and name == b"__TEXT":
                address: int = struct.unpack_from("<Q", data, position + 24)[0]
                return address
            if size < _COMMAND_BYTES:
                break
            position += size
    except (OSError, struct.error) as error:
        raise UsageError(f"{kernel} cannot be read: {error}") from error
    raise UsageError(
        f"{kernel} is no 64-bit Mach-O kernel", hint="the kernel of a KDK, or its dSYM's file"
    )


def _slide(target: KdpTarget, linked_at: int) -> int:
    if not target.text_address:
        raise DebugError(
            "the kernel does not report its address (no stext= in its version)",
            evidence=(target.banner,),
        )
    return (target.text_address - linked_at) & ((1 << 64) - 1)
