# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""QEMU's gdb stub, opened on request, and a guard between the stub and one debugger.

The guard stops the guest for the debugger. When the debugger ends or disconnects in any way, the
guard restores the guest's earlier state. The guard solves these problems of QEMU 7.2 and lldb 19;
each of them was reproduced:
- When a debugger connects, QEMU stops a running guest and reports this stop without a request.
  lldb takes the report for the answer to its first packet. So the guard suspends the guest before
  it connects to the stub.
- lldb's quit is the packet `k`, at which QEMU ends itself. A plain detach leaves a guest stopped
  once multiprocess packets were agreed on. The guard passes neither packet to QEMU.
- A killed debugger leaves the guest stopped and its breakpoints set (only gdb removes them at each
  stop). The guard removes them and resumes the guest. QEMU's own packet for that, `?`, removes
  them on one CPU only.
- A debugger may write a dead guest's registers, to show the stack from the exception. The guard
  restores their old values.
Only UNIX sockets in a folder of mode 0700 are opened.
"""

import contextlib
import logging
import secrets
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from harness.errors import DebugError, HypervisorError
from harness.guest.domain import Domain
from harness.protocols import rsp

_LOG = logging.getLogger(__name__)
# While QEMU waits for an acknowledgement, it ignores every other byte.
_INTERRUPT = b"\x03+\x03"
_CHUNK_BYTES = 64 * 1024
_POLL_S = 0.1
_STUB_S = 10.0
# Each resume may run into one more stop that was pending on another CPU.
_RESUMES = 10
# A pending stop comes at once, so a guest that runs for this long keeps running.
_STEADY_S = 0.5
# In the protocol, E.TEXT is an error with a text for the user.
_REFUSAL = b"E.another debugger is attached to this guest"
_DEAD_NOTE = b"the guest's kernel has stopped for good: it does not go on\n"
_LEAVES = (b"D", b"k", b"vKill")
# With the semicolon, since vCont? only asks what is supported.
_GOES = (b"c", b"C", b"s", b"S", b"vCont;", b"bc", b"bs")


class Found(Enum):
    """The state of a guest before a debugger came: running, paused or dead."""

    RUNNING = "running"
    PAUSED = "paused"
    DEAD = "dead"


@contextmanager
def opened(domain: Domain, path: Path) -> Iterator[None]:
    """Have QEMU open its gdb stub at a UNIX socket, and close the stub when the block ends.

    Raises: DebugError with the message of QEMU's monitor.
    """
    said = domain.hmp(f"gdbserver unix:{path},server=on,wait=off")
    if not path.is_socket():
        raise DebugError(f"QEMU opens no gdb stub: {said or 'there was no message'}")
    try:
        yield
    finally:
        with contextlib.suppress(HypervisorError):
            domain.hmp("gdbserver none")
        path.unlink(missing_ok=True)


def found_state(domain: Domain) -> Found:
    """Return the guest's state as QEMU reports it; libvirt's may be outdated for a moment.

    Source: QEMU 7.2, softmmu/runstate.c; only a running or paused guest can continue.
    """
    said = domain.hmp("info status")
    if "running" in said:
        return Found.RUNNING
    return Found.DEAD if "panicked" in said or "error" in said else Found.PAUSED


def restore(domain: Domain, found: Found) -> None:
    """Let a guest run again that ran before the debugger came; leave any other guest alone.

    A second CPU may have hit a breakpoint just before the breakpoint was removed, and stops when
    the guest runs again. So the guest is resumed until it keeps running, or has died.
    Raises: DebugError when it does not keep running.
    """
    if found is not Found.RUNNING:
        return
    for attempt in range(_RESUMES):
        if _runs_on(domain):
            return
        _LOG.info("resuming the guest, attempt %d", attempt + 1)
        with contextlib.suppress(HypervisorError):
            domain.resume()
        # libvirt may still take the guest for running, and then does not resume it.
        if found_state(domain) is Found.PAUSED:
            domain.hmp("cont")
    if not _runs_on(domain):
        raise DebugError("the guest does not keep running after the debugger has left")


def _runs_on(domain: Domain) -> bool:
    """Return whether the guest keeps running for a short time, or has died."""
    end = time.monotonic() + _STEADY_S
    while time.monotonic() < end:
        state = found_state(domain)
        if state is not Found.RUNNING:
            return state is Found.DEAD
        time.sleep(_POLL_S)
    return True


class Guard:
    """Connects debuggers with QEMU's gdb stub, one after the other, and restores the guest."""

    def __init__(self, domain: Domain, *, stub: Path, listener: socket.socket) -> None:
        self._domain = domain
        self._stub = stub
        self._listener = listener

    def serve(self, wanted: Callable[[], bool]) -> None:
        """Wait for debuggers while `wanted` returns True; relay for each until it disconnects."""
        while wanted():
            ready, _, _ = select.select([self._listener], [], [], _POLL_S)
            if ready:
                connection, _ = self._listener.accept()
                with connection:
                    self._session(connection)

    def _session(self, debugger: socket.socket) -> None:
        found = found_state(self._domain)
        if found is Found.RUNNING:
            self._domain.suspend()
        _LOG.info("a debugger came; the guest was found %s", found.value)
        try:
            with socket.socket(socket.AF_UNIX) as stub:
                stub.settimeout(_STUB_S)
                stub.connect(str(self._stub))
                relay = _Relay(debugger, stub, self._listener, dead=found is Found.DEAD)
                try:
                    relay.run()
                finally:
                    relay.clean_up()
        except (OSError, ValueError) as error:
            # A ValueError is for bytes that are no packets, of either side.
            _LOG.warning("the debugger or QEMU's stub: %s", error)
        finally:
            restore(self._domain, found)
        _LOG.info("the debugger left; the guest is %s", found_state(self._domain).value)


class _Relay:
    """Passes packets between one debugger and QEMU's gdb stub until either of them disconnects."""

    def __init__(
        self, debugger: socket.socket, stub: socket.socket, listener: socket.socket, *, dead: bool
    ) -> None:
        self._debugger = debugger
        self._stub = stub
        self._listener = listener
        self._dead = dead
        self._from_debugger = rsp.Reader()
        self._from_stub = rsp.Reader()
        self._asked = False
        self._acknowledges = True
        self._quiet_asked = False
        self._thread = b""
        self._saved: dict[bytes, bytes] = {}
        # The breakpoints that are set now, each as the packet that removes it.
        self._set_now: set[bytes] = set()
        self._packets: deque[bytes] = deque()

    def run(self) -> None:
        """Relay packets until the debugger disconnects or the connection to the stub ends."""
        going = True
        while going:
            ready, _, _ = select.select([self._debugger, self._stub, self._listener], [], [])
            if self._listener in ready:
                self._refuse()
            if self._stub in ready:
                going = self._answer()
            if going and self._debugger in ready:
                going = self._ask()

    def clean_up(self) -> None:
        """Remove the debugger's breakpoints from QEMU's stub; restore a dead guest's registers.

        The stub may still send replies to the debugger's requests. So the last request here is to
        print a random number, and the reply with this number is awaited. QEMU has then read all
        that was sent to it. Before that the guest must not run, because a byte that arrives at the
        stub would stop it.
        """
        word = secrets.randbits(60)
        command = f"print/d {word}".encode().hex().encode()
        restored = (packet for thread, values in self._saved.items()
                    for packet in (thread, b"G" + values))  # fmt: skip
        try:
            self._stub.sendall(_INTERRUPT)
            for payload in (*restored, *self._set_now, b"qRcmd," + command):
                self._stub.sendall(rsp.packet(payload))
            while str(word).encode().hex().encode() not in self._await_packet():
                pass
        except (OSError, ValueError) as error:
            _LOG.info("the stub is gone: %s", error)

    def _exchange(self, payload: bytes) -> bytes:
        self._stub.sendall(rsp.packet(payload))
        return self._await_packet()

    def _await_packet(self) -> bytes:
        """Return the next packet from QEMU's stub; do not acknowledge it.

        QEMU accepts the next command as an acknowledgement. An acknowledgement that QEMU reads
        after the guest was resumed would stop the guest.
        Raises: OSError when the stub closes the connection or does not answer within 10 s.
        """
        end = time.monotonic() + _STUB_S
        while not self._packets:
            data = self._stub.recv(_CHUNK_BYTES)
            if not data:
                raise ConnectionError("closed")
            if time.monotonic() > end:
                raise TimeoutError(f"no answer within {_STUB_S:g} s")
            pieces = [one for one in self._from_stub.feed(data) if one.kind is rsp.Kind.PACKET]
            self._packets.extend(piece.payload for piece in pieces)
        return self._packets.popleft()

    def _refuse(self) -> None:
        """Refuse a second debugger that connects, in the answer to its first packet."""
        second, _ = self._listener.accept()
        with second, contextlib.suppress(OSError):
            second.settimeout(1.0)
            second.recv(_CHUNK_BYTES)
            second.sendall(b"+" + rsp.packet(_REFUSAL))
        _LOG.info("a second debugger was refused")

    def _answer(self) -> bool:
        """Forward data of QEMU's stub to the debugger; return whether both are still connected.

        Data that arrives before the debugger's first packet was not requested, and is dropped.
        """
        data = _received(self._stub)
        if self._quiet_asked and rsp.packet(b"OK") in data:
            self._acknowledges = False
        if self._asked and data:
            return _sent(self._debugger, data)
        return bool(data)

    def _ask(self) -> bool:
        """Forward the debugger's packets to QEMU's stub; return whether both are still connected.

        Packets by which the debugger leaves or resumes a dead guest are not forwarded, but
        answered here.
        """
        data = _received(self._debugger)
        if not data:
            return False
        for piece in self._from_debugger.feed(data):
            if piece.kind is rsp.Kind.PACKET:
                self._asked = True
                self._quiet_asked = piece.payload == b"QStartNoAckMode"
                if piece.payload.startswith(_LEAVES):
                    # X09: the process was ended by signal 9, as `k` demands.
                    self._reply(b"X09" if piece.payload == b"k" else b"OK")
                    return False
                if self._dead and piece.payload.startswith(_GOES):
                    self._reply(b"O" + _DEAD_NOTE.hex().encode(), b"T05thread:01;")
                    continue
                self._keep_registers(piece.payload)
                self._note_breakpoint(piece.payload)
            if not _sent(self._stub, piece.raw):
                return False
        return True

    def _note_breakpoint(self, payload: bytes) -> None:
        if payload.startswith(b"Z"):
            self._set_now.add(b"z" + payload[1:])
        elif payload.startswith(b"z"):
            self._set_now.discard(payload)

    def _keep_registers(self, payload: bytes) -> None:
        """Save a dead guest's registers before the first packet (`payload`) that writes them.

        This is done once for each thread. A packet Hg says which thread the next packets are for.
        """
        if payload.startswith(b"Hg"):
            self._thread = payload
        elif self._dead and payload[:1] in {b"P", b"G"} and self._thread not in self._saved:
            self._saved[self._thread] = self._exchange(b"g")

    def _reply(self, *payloads: bytes) -> None:
        sign = b"+" if self._acknowledges else b""
        _sent(self._debugger, sign + b"".join(map(rsp.packet, payloads)))


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(_CHUNK_BYTES)
    except OSError:
        return b""


def _sent(target: socket.socket, data: bytes) -> bool:
    try:
        target.sendall(data)
    except OSError:
        return False
    return True
