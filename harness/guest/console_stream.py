# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The serial line of a libvirt domain as a source of bytes, for `console`."""

import contextlib
import logging
import threading
import time
import weakref
from queue import SimpleQueue
from typing import Any

import libvirt
from harness.errors import HypervisorError

_LOG = logging.getLogger(__name__)
_CHUNK_BYTES = 64 * 1024
_WRITE_DEADLINE_S = 10.0
_WRITE_PAUSE_S = 0.02
_EVENTS = (
    libvirt.VIR_STREAM_EVENT_READABLE
    | libvirt.VIR_STREAM_EVENT_ERROR
    | libvirt.VIR_STREAM_EVENT_HANGUP
)


class ConsoleStream:
    """The bytes of a domain's serial line, received over a separate connection to libvirt.

    `read` blocks; `close` from another thread ends it. Close it before the domain is destroyed.

    The bytes arrive through libvirt's event loop; no thread waits for them in a call to libvirt.
    When one thread waits in such a call, a call of another thread may never get the connection:
    libvirt's client signals the waiting thread's loop to stop, and the signal is lost when that
    loop is about to begin (seen with libvirt 9.0: a write that was never sent, a close that never
    returned).
    """

    def __init__(self, uri: str, name: str) -> None:
        self._lock = threading.Lock()  # the stream must not be freed during a call to it
        self._open = True
        self._arrived: SimpleQueue[bytes] = SimpleQueue()
        self._conn: Any = libvirt.open(uri)
        try:
            self._stream: Any = self._conn.newStream(libvirt.VIR_STREAM_NONBLOCK)
            # Take the console over if a dead process has left it open.
            flags = libvirt.VIR_DOMAIN_CONSOLE_FORCE
            self._conn.lookupByName(name).openConsole(None, self._stream, flags)
            self._stream.eventAddCallback(_EVENTS, _dispatch, weakref.ref(self))
        except libvirt.libvirtError:
            self._conn.close()
            raise

    def read(self, size_bytes: int) -> bytes:  # noqa: ARG002
        """Wait for bytes and return them; b"" at the end, or after an error.

        `size_bytes` is ignored.
        """
        data = self._arrived.get()
        if not data:
            self._arrived.put(data)  # every later read returns the end as well
        return data

    def write(self, data: bytes) -> None:
        """Send bytes to the guest over its serial line.

        Raises: HypervisorError when the line is closed or fails, or is full when
            `_WRITE_DEADLINE_S` have passed.
        """
        end = time.monotonic() + _WRITE_DEADLINE_S
        while data:
            sent = self._send(data)
            if sent < 0 and time.monotonic() > end:
                raise HypervisorError("the console accepts no input: it is full")
            if sent < 0:
                time.sleep(_WRITE_PAUSE_S)
            data = data[max(sent, 0) :]

    def close(self) -> None:
        """Close the stream; may be called twice and from any thread."""
        with self._lock:
            if not self._open:
                return
            self._open = False
            for step in (self._stream.eventRemoveCallback, self._stream.abort):
                try:
                    step()
                except libvirt.libvirtError as error:
                    _LOG.debug("closing a console: %s", error)
            # libvirt's Python binding never frees a stream that had a callback, nor its
            # connection: two file descriptors would leak for each console.
            self._stream.__del__()
            with contextlib.suppress(libvirt.libvirtError):
                self._conn.close()
        self._arrived.put(b"")

    def take(self) -> None:
        """Receive all bytes that have arrived; the event loop's thread calls this."""
        with self._lock:
            try:
                while self._open and isinstance(data := self._stream.recv(_CHUNK_BYTES), bytes):
                    self._arrived.put(data)
                    if not data:
                        break
                else:
                    return  # nothing more has arrived yet
            except libvirt.libvirtError as error:
                _LOG.debug("console ended: %s", error)
                self._arrived.put(b"")
            with contextlib.suppress(libvirt.libvirtError):
                self._stream.eventRemoveCallback()

    def _send(self, data: bytes) -> int:
        """Send bytes over the serial line; return how many were sent.

        A number below 0 means that the line accepts none now.
        Raises: HypervisorError when the line is closed or fails.
        """
        with self._lock:
            if not self._open:
                raise HypervisorError("the console accepts no input: it is closed")
            try:
                sent: int = self._stream.send(data)
            except libvirt.libvirtError as error:
                raise HypervisorError(f"the console accepts no input: {error}") from error
        return sent


def _dispatch(_stream: Any, _events: int, console: "weakref.ref[ConsoleStream]") -> None:
    """Let a console's stream receive its bytes after a libvirt event; the reference to it is weak.

    libvirt's Python binding never releases a callback, so a strong reference would keep the stream
    for ever.
    """
    stream = console()
    if stream is not None:
        stream.take()
