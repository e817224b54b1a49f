# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The bridge answers a debugger's packets from a kernel behind KDP, and lets it go at the end."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from harness.protocols.kdp.bridge import Bridge
from harness.protocols.kdp.client import KdpClient
from harness.protocols.kdp.packets import ExceptionInfo, Request
from harness.protocols.kdp.stub import StubServer
from harness.protocols.rsp import Kind, Reader, packet
from harness.protocols.rsp_socket import Link
from tests.unit.kdp_machine import BASE, PageMachine

TRAP = ExceptionInfo(cpu=0, exception=6, code=2, subcode=0)
BAD_ACCESS = ExceptionInfo(cpu=0, exception=1, code=1, subcode=0)


class Debugger:
    """A debugger's end of the wire, without acknowledgements."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._reader = Reader()
        self._answers: list[bytes] = []
        assert self.ask(b"QStartNoAckMode") == b"OK"

    def say(self, payload: bytes) -> None:
        """Send a packet."""
        self._end.sendall(packet(payload))

    def raw(self, data: bytes) -> None:
        """Send bytes."""
        self._end.sendall(data)

    def hear(self) -> bytes:
        """Return the next packet."""
        while not self._answers:
            data = self._end.recv(65536)
            assert data, "the bridge hung up"
            pieces = self._reader.feed(data)
            self._answers += [piece.payload for piece in pieces if piece.kind is Kind.PACKET]
        return self._answers.pop(0)

    def ask(self, payload: bytes) -> bytes:
        """Return the answer to a packet."""
        self.say(payload)
        return self.hear()


@contextmanager
def bridged(
    machine: PageMachine, interrupt: Callable[[], None] | None = None
) -> Iterator[tuple[Debugger, StubServer]]:
    """Give a debugger whose stub is the bridge; both sides are gone at the end."""
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    with (
        StubServer(machine) as stub,
        KdpClient("127.0.0.1", stub.port, timeout_s=1) as client,
    ):
        client.connect()
        bridge = Bridge(Link(theirs), client, interrupt=interrupt)
        thread = threading.Thread(target=bridge.serve)
        thread.start()
        try:
            with ours:
                yield Debugger(ours), stub
        finally:
            thread.join(5)
            theirs.close()
        assert not thread.is_alive()


def test_the_target_is_described_in_parts() -> None:
    """target.xml comes whole whatever the part's size, with the registers that gdb insists on."""
    with bridged(PageMachine()) as (debugger, _):
        text, offset = b"", 0
        while (part := debugger.ask(b"qXfer:features:read:target.xml:%x,100" % offset))[
            :1
        ] == b"m":
            text += part[1:]
            offset += 0x100
        text += part[1:]

    assert text.startswith(b'<?xml version="1.0"?>')
    assert text.endswith(b"</target>")
    assert text.count(b"<reg ") == 40
    assert b"i386:x86-64" in text


def test_registers_are_in_gdbs_order_and_unknown_ones_unavailable() -> None:
    """Each in its place: rsi before rdi, flags 32 bits wide, 'x' where KDP has nothing."""
    machine = PageMachine()
    machine.values |= {"rax": 1, "rsi": 4, "rdi": 5, "rip": BASE, "rflags": 0x46, "cs": 8}

    with bridged(machine) as (debugger, _):
        everything = debugger.ask(b"g")
        assert debugger.ask(b"p4") == b"0400000000000000"
        assert debugger.ask(b"p11") == b"46000000"
        assert debugger.ask(b"p13") == b"xxxxxxxx"
        assert debugger.ask(b"p63") == b"E01"

    assert everything[:16] == b"0100000000000000"
    assert len(everything) == 2 * (17 * 8 + 7 * 4 + 8 * 10 + 8 * 4)


def test_lldb_gets_only_registers_that_there_are() -> None:
    """For lldb has no word for unavailable and would show 0xcccccccc."""
    with bridged(PageMachine()) as (debugger, _):
        assert debugger.ask(b"QThreadSuffixSupported") == b""
        assert debugger.ask(b"qXfer:features:read:target.xml:0,1000").count(b"<reg ") == 21
        assert b"x" not in debugger.ask(b"g")


def test_registers_are_written_one_and_all() -> None:
    """P changes one, G those that it has digits for; what KDP lacks cannot be set."""
    machine = PageMachine()

    with bridged(machine) as (debugger, _):
        assert debugger.ask(b"P10=efbeadde00000000") == b"OK"
        assert machine.values["rip"] == 0xDEADBEEF
        assert debugger.ask(b"P13=00000000") == b"E01"
        everything = debugger.ask(b"g")
        assert debugger.ask(b"G" + b"0700000000000000" + everything[16:]) == b"OK"
        assert debugger.ask(b"G00") == b"E01"

    assert (machine.values["rax"], machine.values["rip"]) == (7, 0xDEADBEEF)


def test_memory_is_read_and_written() -> None:
    """m, M and X; what is not mapped, or not as long as it says, is an error."""
    machine = PageMachine()

    with bridged(machine) as (debugger, _):
        assert debugger.ask(b"m%x,4" % BASE) == b"00010203"
        assert debugger.ask(b"M%x,2:aabb" % BASE) == b"OK"
        assert debugger.ask(b"X%x,3:}#$" % (BASE + 2)) == b"OK"
        assert debugger.ask(b"M%x,3:aabb" % BASE) == b"E01"
        assert debugger.ask(b"m1000,4") == b"E01"
        assert debugger.ask(b"mzz,4") == b"E01"

    assert machine.memory[:6] == b"\xaa\xbb}#$\x05"


def test_a_breakpoint_does_not_show_in_memory() -> None:
    """A debugger reads what was there; set twice is set once."""
    machine = PageMachine()

    with bridged(machine) as (debugger, stub):
        assert debugger.ask(b"Z0,%x,1" % (BASE + 5)) == b"OK"
        assert debugger.ask(b"Z0,%x,1" % (BASE + 5)) == b"OK"
        machine.memory[5] = 0xCC
        assert debugger.ask(b"m%x,8" % BASE) == b"0001020304050607"
        assert debugger.ask(b"z0,%x,1" % (BASE + 5)) == b"OK"
        assert debugger.ask(b"Z2,%x,1" % BASE) == b""
        assert stub.seen.requests.count(Request.BREAKPOINT64_SET) == 1

    assert machine.planted == set()


def test_a_stop_past_a_breakpoint_is_moved_onto_it() -> None:
    """Debuggers look for their breakpoint at pc, the CPU's is one byte further."""
    machine = PageMachine(TRAP)
    machine.values["rip"] = BASE + 6

    with bridged(machine) as (debugger, _):
        debugger.ask(b"Z0,%x,1" % (BASE + 5))
        assert debugger.ask(b"vCont;c") == b"T05thread:1;"
        assert debugger.ask(b"p10") == (BASE + 5).to_bytes(8, "little").hex().encode()


def test_a_step_sets_the_trap_flag_and_takes_it_out() -> None:
    """The kernel traps after one instruction; the debugger never sees TF."""
    machine = PageMachine(TRAP)

    with bridged(machine) as (debugger, _):
        assert debugger.ask(b"s") == b"T05thread:1;"

    assert machine.flags_at_run == [0x100]
    assert machine.values["rflags"] == 0


def test_a_fault_is_its_signal() -> None:
    """EXC_BAD_ACCESS is SIGSEGV."""
    with bridged(PageMachine(BAD_ACCESS)) as (debugger, _):
        assert debugger.ask(b"c") == b"T0bthread:1;"
        assert debugger.ask(b"?") == b"T0bthread:1;"


def test_an_interrupt_of_a_running_kernel_says_what_can_be_done() -> None:
    """KDP cannot; the debugger's user is told, and the session lives."""
    with bridged(PageMachine()) as (debugger, _):
        debugger.say(b"c")
        debugger.raw(b"\x03")
        answer = debugger.hear()

    assert answer[:1] == b"O"
    assert b"cannot interrupt" in bytes.fromhex(answer[1:].decode())


def test_an_interrupt_goes_to_whoever_can_send_an_nmi() -> None:
    """With a hypervisor at hand, Ctrl-C is an NMI."""
    called = threading.Event()

    with bridged(PageMachine(), interrupt=called.set) as (debugger, _):
        debugger.say(b"c")
        debugger.raw(b"\x03")
        assert called.wait(5)


@pytest.mark.parametrize(
    ("last", "answer"), [(b"D", b"OK"), (b"D;1", b"OK"), (b"vKill;1", b"OK"), (b"k", b"X09")]
)
def test_every_way_to_leave_lets_the_kernel_go(last: bytes, answer: bytes) -> None:
    """Detach and kill take the breakpoints out and disconnect."""
    machine = PageMachine()

    with bridged(machine) as (debugger, stub):
        debugger.ask(b"Z0,%x,1" % BASE)
        assert debugger.ask(last) == answer

    assert machine.planted == set()
    assert (stub.seen.requests[-1], stub.seen.connected) == (Request.DISCONNECT, False)


def test_a_debugger_that_is_gone_has_left() -> None:
    """So does one that was killed: the connection ends, the kernel runs on."""
    machine = PageMachine()

    with bridged(machine) as (debugger, stub):
        debugger.ask(b"Z0,%x,1" % BASE)

    assert machine.planted == set()
    assert not stub.seen.connected


def test_what_it_does_not_know_it_says_so() -> None:
    """An empty answer is the protocol's 'not supported'; lldb asks for dozens of such things."""
    with bridged(PageMachine()) as (debugger, _):
        assert debugger.ask(b"jThreadsInfo") == b""
        assert debugger.ask(b"vMustReplyEmpty") == b""
        assert debugger.ask(b"qC") == b"QC1"
        assert b"ptrsize:8" in debugger.ask(b"qHostInfo")
