# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One side of a gdb-remote connection: packets in both directions, over a private UNIX socket.

No TCP port is opened, because whoever can connect to a stub controls the guest. So the socket has
mode 0600, and a folder that is made for it has mode 0700.
"""

import contextlib
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import DebugError
from harness.protocols import rsp

# The longest path of a UNIX socket: sun_path of unix(7), without its NUL.
PATH_MAX_BYTES = 107
_CHUNK_BYTES = 64 * 1024


class Link:
    """A connected socket that sends and receives packets of gdb's remote protocol.

    It acknowledges each packet while `acknowledges` is True. The caller sets it to False after
    both sides have agreed on QStartNoAckMode.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._reader = rsp.Reader()
        self._pieces: deque[rsp.Piece] = deque()
        self._last = b""
        self.acknowledges = True

    def fileno(self) -> int:
        """Return the socket's number, for select."""
        return self._socket.fileno()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def send(self, payload: bytes) -> None:
        """Send a packet; if the peer is gone, only the next read shows it."""
        self._last = rsp.packet(payload)
        self._write(self._last)

    def next(self) -> rsp.Piece | None:
        """Wait for the next packet or interrupt, and return it; None at the end of the stream.

        The wait has no deadline.
        """
        while (piece := self.take()) is None:
            if not self.read():
                return None
        return piece

    def take(self) -> rsp.Piece | None:
        """Return the next packet or interrupt among the bytes that `read` has read, or None.

        Acknowledgements are handled here, and a damaged packet is requested again. Notifications
        are dropped.
        """
        while self._pieces:
            piece = self._pieces.popleft()
            if not self._handle(piece):
                return piece
        return None

    def read(self) -> bool:
        """Wait for bytes, and read them; return False at the end of the stream.

        The stream also ends with bytes that cannot be RSP, since no packet could be found after
        them.
        """
        try:
            data = self._socket.recv(_CHUNK_BYTES)
            self._pieces.extend(self._reader.feed(data))
        except (OSError, ValueError):
            return False
        return bool(data)

    def _handle(self, piece: rsp.Piece) -> bool:
        """Acknowledge a packet, or request or repeat one; return whether `take` drops this piece.

        Only packets and interrupts are not dropped.
        """
        if piece.kind is rsp.Kind.PACKET:
            if self.acknowledges:
                self._write(b"+")
            return False
        if piece.kind is rsp.Kind.DAMAGED:
            self._write(b"-")
        elif piece.kind is rsp.Kind.NAK:
            self._write(self._last)
        return piece.kind is not rsp.Kind.INTERRUPT

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendall(data)


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Open a listening UNIX socket that only its owner can reach; remove it after the block.

    Raises: DebugError when the path is too long or cannot be made.
    """
    if len(os.fsencode(path)) > PATH_MAX_BYTES:
        raise DebugError(f"{path} is too long for a socket: {PATH_MAX_BYTES} bytes are allowed")
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            listener.bind(os.fspath(path))
        except OSError as error:
            raise DebugError(f"no socket {path}: {error}") from error
        try:
            # The folder may have had another mode before; nobody can connect before `listen`.
            path.chmod(0o600)
            listener.listen()
            yield listener
        finally:
            path.unlink(missing_ok=True)


def accept_connection(
    listener: socket.socket, *, deadline_s: float, wanted: Callable[[], bool]
) -> socket.socket | None:
    """Wait for a connection to a listening socket, and return it; None when none came in time.

    The wait also ends with None as soon as `wanted` returns False.
    """
    end = time.monotonic() + deadline_s
    while time.monotonic() < end and wanted():
        # The wait is short, so that `wanted` is examined again soon.
        ready, _, _ = select.select([listener], [], [], 0.1)
        if ready:
            return listener.accept()[0]
    return None
