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
    """The bytes of a domain's serial line, over a connection of their own.

    `read` blocks; `close` from another thread ends it. Closed before the domain is destroyed.

    The bytes come through libvirt's event loop, and no call to libvirt waits for them: while one
    thread waits in a call, another's may not get the connection's attention. The client tells the
    waiting thread's loop to stop, and that is lost when the loop is about to begin (seen with
    libvirt 9.0: a write that never left, a close that never came back).
    """

    def __init__(self, uri: str, name: str) -> None:
        self._lock = threading.Lock()  # the stream is not freed while somebody uses it
        self._open = True
        self._arrived: SimpleQueue[bytes] = SimpleQueue()
        self._conn: Any = libvirt.open(uri)
        try:
            self._stream: Any = self._conn.newStream(libvirt.VIR_STREAM_NONBLOCK)
            flags = libvirt.VIR_DOMAIN_CONSOLE_FORCE
            self._conn.lookupByName(name).openConsole(None, self._stream, flags)
            self._stream.eventAddCallback(_EVENTS, _dispatch, weakref.ref(self))
        except libvirt.libvirtError:
            self._conn.close()
            raise

    def read(self, size_bytes: int) -> bytes:  # noqa: ARG002
        """Return the next bytes, as many as came at once; b"" at the end, however it came."""
        data = self._arrived.get()
        if not data:
            self._arrived.put(data)  # the end stays the end
        return data

    def write(self, data: bytes) -> None:
        """Send bytes to the guest.

        Raises: HypervisorError when the line is closed, or takes nothing for seconds.
        """
        end = time.monotonic() + _WRITE_DEADLINE_S
        while data:
            sent = self._send(data)
            if sent < 0 and time.monotonic() > end:
                raise HypervisorError("the console takes no input: it is full")
            if sent < 0:
                time.sleep(_WRITE_PAUSE_S)
            data = data[max(sent, 0) :]

    def close(self) -> None:
        """End the stream; may be called twice and from any thread."""
        with self._lock:
            if not self._open:
                return
            self._open = False
            for step in (self._stream.eventRemoveCallback, self._stream.abort):
                try:
                    step()
                except libvirt.libvirtError as error:
                    _LOG.debug("closing a console: %s", error)
            # The binding never lets go of a stream that had a callback, and its connection with
            # it: two descriptors for each console.
            self._stream.__del__()
            with contextlib.suppress(libvirt.libvirtError):
                self._conn.close()
        self._arrived.put(b"")

    def take(self) -> None:
        """Take what is there; called by the event loop's thread."""
        with self._lock:
            try:
                while self._open and isinstance(data := self._stream.recv(_CHUNK_BYTES), bytes):
                    self._arrived.put(data)
                    if not data:
                        break
                else:
                    return  # nothing more for now
            except libvirt.libvirtError as error:
                _LOG.debug("console ended: %s", error)
                self._arrived.put(b"")
            with contextlib.suppress(libvirt.libvirtError):
                self._stream.eventRemoveCallback()

    def _send(self, data: bytes) -> int:
        """Return how many bytes were taken; less than 0 when there is no room now."""
        with self._lock:
            if not self._open:
                raise HypervisorError("the console takes no input: it is closed")
            try:
                sent: int = self._stream.send(data)
            except libvirt.libvirtError as error:
                raise HypervisorError(f"the console takes no input: {error}") from error
        return sent


def _dispatch(_stream: Any, _events: int, console: "weakref.ref[ConsoleStream]") -> None:
    """Pass an event on; the binding keeps what it calls for ever, so it gets no more than this."""
    found = console()
    if found is not None:
        found.take()
