# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of stub_relay: the guard prevents QEMU's end, and restores the guest's state."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from harness.debugger import stub_relay
from harness.debugger.stub_relay import Found, Guard
from harness.errors import DebugError, UsageError
from harness.guest import registry
from harness.guest.domain import Domain
from harness.protocols.rsp import PACKET_MAX_BYTES, Kind, Reader, packet
from harness.protocols.rsp_socket import listening


class MonitoredGuest:
    """A fake domain with the functions that the guard uses: its state, and ways to change it."""

    def __init__(self, status: str) -> None:
        self.status = status
        self.calls: list[str] = []

    def hmp(self, command: str) -> str:
        """Answer `info status` of QEMU's monitor; `cont` lets the guest run."""
        self.calls.append(command)
        if command == "cont":
            self.status = "running"
        return f"VM status: {self.status}"

    def suspend(self) -> None:
        """Stop the fake guest."""
        self.calls.append("suspend")
        self.status = "paused"

    def resume(self) -> None:
        """Let the fake guest run."""
        self.calls.append("resume")
        self.status = "running"


class Stub:
    """A stub that answers every packet with `ok` and records the packets."""

    def __init__(self, path: Path, *, unasked: bool = False) -> None:
        self.heard: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._unasked = unasked
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        reader = Reader()
        if self._unasked:
            connection.sendall(packet(b"T02thread:01;"))
        while data := connection.recv(4096):
            for piece in reader.feed(data):
                if piece.kind is Kind.PACKET:
                    self.heard.append(piece.payload)
                    answer = b"0123" if piece.payload == b"g" else b"ok"
                    if piece.payload.startswith(b"qRcmd,"):
                        # QEMU's monitor echoes nothing, and ends its lines so.
                        number = bytes.fromhex(piece.payload[6:].decode()).split()[1]
                        answer = b"O" + (number + b"\r\n").hex().encode()
                        self.heard.pop()
                    connection.sendall(b"+" + packet(answer))

    def close(self) -> None:
        """Close the stub's sockets."""
        self._thread.join(5)
        self._listener.close()


@contextmanager
def guarded(
    folder: Path, status: str = "running", *, unasked: bool = False
) -> Iterator[tuple[MonitoredGuest, Stub, Path]]:
    """Give a fake guest with its stub, and a guard that serves debuggers on a socket."""
    guest = MonitoredGuest(status)
    stub = Stub(folder / "stub", unasked=unasked)
    over = threading.Event()
    with listening(folder / "dbg" / "gdb") as listener:
        guard = Guard(cast("Domain", guest), stub=folder / "stub", listener=listener)
        thread = threading.Thread(target=guard.serve, args=(lambda: not over.is_set(),))
        thread.start()
        try:
            yield guest, stub, folder / "dbg" / "gdb"
        finally:
            over.set()
            thread.join(10)
            stub.close()
        assert not thread.is_alive()


def connected(path: Path) -> socket.socket:
    """Return a debugger's connection to the guard."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(5)
    connection.connect(str(path))
    return connection


def ask(debugger: socket.socket, payload: bytes) -> list[bytes]:
    """Send a packet to the guard, and return the packets of the answer."""
    debugger.sendall(packet(payload))
    reader, found = Reader(), list[bytes]()
    while not found:
        pieces = reader.feed(debugger.recv(4096))
        found += [piece.payload for piece in pieces if piece.kind is Kind.PACKET]
    return found


@pytest.mark.parametrize(
    ("leaving", "answer"), [(b"k", b"X09"), (b"vKill;1", b"OK"), (b"D", b"OK"), (b"D;1", b"OK")]
)
def test_a_debuggers_kill_or_detach_does_not_reach_qemu_and_the_guest_runs(
    tmp_path: Path, leaving: bytes, answer: bytes
) -> None:
    """The relay to a fake QEMU stub answers the debugger's kill or detach itself."""
    with guarded(tmp_path) as (guest, stub, path), connected(path) as debugger:
        assert ask(debugger, b"qC") == [b"ok"]
        assert ask(debugger, leaving) == [answer]

    assert stub.heard == [b"qC"]
    assert guest.calls.index("suspend") < guest.calls.index("resume")
    assert guest.status == "running"


def test_breakpoints_of_a_disconnected_debugger_are_removed_and_the_guest_runs(
    tmp_path: Path,
) -> None:
    """When a debugger's connection closes, the relay to QEMU's stub removes its breakpoints."""
    with guarded(tmp_path) as (guest, stub, path), connected(path) as debugger:
        for payload in (b"Z0,1000,1", b"Z1,2000,1", b"z1,2000,1"):
            ask(debugger, payload)

    assert stub.heard == [b"Z0,1000,1", b"Z1,2000,1", b"z1,2000,1", b"z0,1000,1"]
    assert guest.status == "running"


def test_breakpoints_of_a_debugger_that_sends_no_packets_are_removed_and_the_guest_runs(
    tmp_path: Path,
) -> None:
    """Too many bytes without a whole gdb packet end a debugger's session, as if it had left."""
    with guarded(tmp_path) as (guest, stub, path), connected(path) as debugger:
        ask(debugger, b"Z0,1000,1")
        with contextlib.suppress(ConnectionError):
            debugger.sendall(b"$" + b"a" * (PACKET_MAX_BYTES + 1))
        with contextlib.suppress(ConnectionError):
            assert debugger.recv(1) == b""

    assert stub.heard == [b"Z0,1000,1", b"z0,1000,1"]
    assert guest.status == "running"


def test_a_guest_stopped_before_a_debugger_came_stays_stopped_after_it(tmp_path: Path) -> None:
    """A guest that was stopped before the debugger came stays stopped after it."""
    with guarded(tmp_path, "paused") as (guest, _, path), connected(path) as debugger:
        ask(debugger, b"k")

    assert guest.status == "paused"
    assert "resume" not in guest.calls


def test_a_packet_that_the_stub_sends_before_the_debuggers_first_one_is_dropped(
    tmp_path: Path,
) -> None:
    """QEMU's own stop report is no reply to the debugger's first request, so it is dropped."""
    with guarded(tmp_path, unasked=True) as (_, _, path), connected(path) as debugger:
        debugger.settimeout(0.3)
        with pytest.raises(TimeoutError):
            debugger.recv(1)
        debugger.settimeout(5)
        assert ask(debugger, b"qC") == [b"ok"]


def test_a_continue_for_a_panicked_guest_is_not_sent_to_qemu(tmp_path: Path) -> None:
    """The relay tells a debugger that continues a panicked guest that it stopped for good."""
    with guarded(tmp_path, "paused (guest-panicked)") as (guest, stub, path):
        with connected(path) as debugger:
            said = ask(debugger, b"vCont;c")
        assert "stopped for good" in bytes.fromhex(said[0][1:].decode()).decode()

    assert b"vCont;c" not in stub.heard
    assert guest.status == "paused (guest-panicked)"


def test_registers_written_in_a_panicked_guest_are_restored_on_detach(tmp_path: Path) -> None:
    """On detach, the thread whose registers a debugger has set gets its earlier ones back."""
    dead = "paused (guest-panicked)"

    with guarded(tmp_path, dead) as (_, stub, path), connected(path) as debugger:
        for payload in (b"Hgp01.01", b"P10=00", b"P11=00", b"D"):
            ask(debugger, payload)

    assert stub.heard == [
        *(b"Hgp01.01", b"g", b"P10=00", b"P11=00"),
        *(b"Hgp01.01", b"G0123"),
    ]


def test_a_second_debuggers_first_packet_is_answered_with_an_error(tmp_path: Path) -> None:
    """While one debugger uses the relay, a second one gets the reason and no connection."""
    with guarded(tmp_path) as (_, _, path), connected(path) as first:
        ask(first, b"qC")
        with connected(path) as second:
            assert ask(second, b"qSupported") == [b"E.another debugger is attached to this guest"]
        assert ask(first, b"qC") == [b"ok"]


def test_resuming_a_guest_that_pauses_again_after_each_attempt_raises_a_debug_error() -> None:
    """A fake guest that QEMU's monitor calls paused after each resume is not resumed for ever."""

    class Stubborn(MonitoredGuest):
        def hmp(self, command: str) -> str:
            self.calls.append(command)
            return "VM status: paused"

    with pytest.raises(DebugError, match="does not keep running"):
        stub_relay.restore(cast("Domain", Stubborn("paused")), Found.RUNNING)


@pytest.mark.parametrize(
    ("status", "found"),
    [
        ("running", Found.RUNNING),
        ("paused", Found.PAUSED),
        ("paused (prelaunch)", Found.PAUSED),
        ("paused (debug)", Found.PAUSED),
        ("paused (guest-panicked)", Found.DEAD),
        ("paused (internal-error)", Found.DEAD),
    ],
)
def test_a_guest_is_running_paused_or_dead_according_to_qemus_info_status(
    status: str, found: Found
) -> None:
    """Each state that QEMU's `info status` prints gives the right state of the guest."""
    assert stub_relay.found_state(cast("Domain", MonitoredGuest(status))) is found


def test_a_gdb_stub_that_qemu_does_not_open_is_an_error(tmp_path: Path) -> None:
    """A stub that QEMU cannot open is an error with the monitor's message."""
    guest: Any = MonitoredGuest("running")

    with (
        pytest.raises(DebugError, match="no gdb stub: VM status"),
        stub_relay.opened(guest, tmp_path / "stub"),
    ):
        pass


def test_while_a_guests_debug_lock_is_held_a_second_hold_is_refused_with_a_process_id(
    tmp_path: Path,
) -> None:
    """Only one debugger may hold a guest; the error has its process, and later it is free."""
    assert not registry.has_debugger(tmp_path)
    with registry.hold_for_debugger(tmp_path):
        assert registry.has_debugger(tmp_path)
        with (
            pytest.raises(UsageError, match=r"held by a debugger, process \d+"),
            registry.hold_for_debugger(tmp_path),
        ):
            pass

    assert not registry.has_debugger(tmp_path)
