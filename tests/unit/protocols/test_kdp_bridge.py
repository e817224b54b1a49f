# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the KDP bridge: it answers a debugger's packets from a kernel that speaks KDP."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from harness.protocols.kdp.bridge import Bridge
from harness.protocols.kdp.client import KdpClient
from harness.protocols.kdp.packets import ExceptionInfo, KdpStatus, Request, Termination
from harness.protocols.kdp.stub import StubServer
from harness.protocols.rsp import Kind, Reader, packet
from harness.protocols.rsp_socket import Link
from tests.unit.kdp_machine import BASE, PageMachine

TRAP = ExceptionInfo(cpu=0, exception=6, code=2, subcode=0)
REBOOT = Termination(term_code=3, exit_code=0)
BAD_ACCESS = ExceptionInfo(cpu=0, exception=1, code=1, subcode=0)


class Debugger:
    """A debugger that is connected to the bridge and sends no acknowledgements."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._reader = Reader()
        self._answers: list[bytes] = []
        assert self.ask(b"QStartNoAckMode") == b"OK"

    def say(self, payload: bytes) -> None:
        """Send a packet to the bridge."""
        self._end.sendall(packet(payload))

    def raw(self, data: bytes) -> None:
        """Send bytes to the bridge, without the form of a packet."""
        self._end.sendall(data)

    def hear(self) -> bytes:
        """Wait for the next packet from the bridge, and return it."""
        while not self._answers:
            data = self._end.recv(65536)
            assert data, "the bridge hung up"
            pieces = self._reader.feed(data)
            self._answers += [piece.payload for piece in pieces if piece.kind is Kind.PACKET]
        return self._answers.pop(0)

    def at_end(self) -> bool:
        """Wait for the end of the connection, and return whether nothing came before it."""
        return not self._answers and not self._end.recv(1)

    def ask(self, payload: bytes) -> bytes:
        """Send a packet to the bridge, and return the answer."""
        self.say(payload)
        return self.hear()


@contextmanager
def bridged(
    machine: PageMachine, interrupt: Callable[[], None] | None = None
) -> Iterator[tuple[Debugger, StubServer]]:
    """Give a debugger that is connected to the bridge; close both ends after the test."""
    near, far = socket.socketpair()
    near.settimeout(5)
    with (
        StubServer(machine) as stub,
        KdpClient("127.0.0.1", stub.port, timeout_s=1) as client,
    ):
        client.connect()
        bridge = Bridge(Link(far), client, interrupt=interrupt)
        thread = threading.Thread(target=bridge.serve)
        thread.start()
        try:
            with near:
                yield Debugger(near), stub
        finally:
            thread.join(5)
            far.close()
        assert not thread.is_alive()


def test_target_xml_can_be_read_in_parts() -> None:
    """The bridge from gdb's protocol to KDP sends the register description in parts."""
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


def test_gdb_gets_registers_in_its_order_32_bit_flags_and_x_for_registers_that_kdp_lacks() -> None:
    """From a fake KDP kernel the bridge gives gdb rsi before rdi, and 'x' for unknown values."""
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


def test_lldb_gets_only_registers_that_kdp_has() -> None:
    """The bridge omits registers that KDP lacks; lldb would show them as 0xcccccccc."""
    with bridged(PageMachine()) as (debugger, _):
        assert debugger.ask(b"QThreadSuffixSupported") == b""
        assert debugger.ask(b"qXfer:features:read:target.xml:0,1000").count(b"<reg ") == 21
        assert b"x" not in debugger.ask(b"g")


def test_packet_capital_p_writes_one_register_and_capital_g_several() -> None:
    """For gdb, P changes one register of a fake KDP kernel, and G all that are not sent as x."""
    machine = PageMachine()

    with bridged(machine) as (debugger, _):
        assert debugger.ask(b"P10=efbeadde00000000") == b"OK"
        assert machine.values["rip"] == 0xDEADBEEF
        assert debugger.ask(b"P13=00000000") == b"E01"
        everything = debugger.ask(b"g")
        assert debugger.ask(b"G" + b"0700000000000000" + everything[16:]) == b"OK"
        assert debugger.ask(b"G00") == b"E01"

    assert (machine.values["rax"], machine.values["rip"]) == (7, 0xDEADBEEF)


def test_packet_m_reads_the_kernels_memory_and_packets_capital_m_and_capital_x_write_it() -> None:
    """The gdb packets act on a fake KDP kernel; a wrong address or length is an error reply."""
    machine = PageMachine()

    with bridged(machine) as (debugger, _):
        assert debugger.ask(b"m%x,4" % BASE) == b"00010203"
        assert debugger.ask(b"M%x,2:aabb" % BASE) == b"OK"
        assert debugger.ask(b"X%x,3:}#$" % (BASE + 2)) == b"OK"
        assert debugger.ask(b"M%x,3:aabb" % BASE) == b"E01"
        assert debugger.ask(b"m1000,4") == b"E01"
        assert debugger.ask(b"mzz,4") == b"E01"

    assert machine.memory[:6] == b"\xaa\xbb}#$\x05"


def test_memory_at_a_breakpoint_is_read_with_its_original_bytes() -> None:
    """The bridge hides int3 from the debugger, and sets a breakpoint set twice only once."""
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


def test_after_a_breakpoint_stop_the_debugger_gets_the_breakpoints_address_as_pc() -> None:
    """A fake KDP kernel stops one byte past int3; the bridge takes this byte off."""
    machine = PageMachine(TRAP)
    machine.values["rip"] = BASE + 6

    with bridged(machine) as (debugger, _):
        debugger.ask(b"Z0,%x,1" % (BASE + 5))
        assert debugger.ask(b"vCont;c") == b"T05thread:1;"
        assert debugger.ask(b"p10") == (BASE + 5).to_bytes(8, "little").hex().encode()


def test_a_step_sets_and_clears_the_trap_flag() -> None:
    """For gdb's step the fake KDP kernel runs with the trap flag; after the stop it is cleared."""
    machine = PageMachine(TRAP)

    with bridged(machine) as (debugger, _):
        assert debugger.ask(b"s") == b"T05thread:1;"

    assert machine.flags_at_run == [0x100]
    assert machine.values["rflags"] == 0


def test_a_bad_access_is_reported_as_sigsegv() -> None:
    """The bridge turns a kernel's EXC_BAD_ACCESS into signal 11, again when gdb asks twice."""
    with bridged(PageMachine(BAD_ACCESS)) as (debugger, _):
        assert debugger.ask(b"c") == b"T0bthread:1;"
        assert debugger.ask(b"?") == b"T0bthread:1;"


def test_without_an_nmi_function_an_interrupt_prints_that_kdp_cannot_interrupt() -> None:
    """A debugger that interrupts a running kernel over the bridge gets text on its console."""
    with bridged(PageMachine()) as (debugger, _):
        debugger.say(b"c")
        debugger.raw(b"\x03")
        answer = debugger.hear()

    assert answer[:1] == b"O"
    assert b"cannot interrupt" in bytes.fromhex(answer[1:].decode())


def test_an_interrupt_calls_the_function_for_an_nmi_if_the_bridge_has_one() -> None:
    """At gdb's interrupt (byte 3) of a running fake kernel the bridge calls its NMI function."""
    called = threading.Event()

    with bridged(PageMachine(), interrupt=called.set) as (debugger, _):
        debugger.say(b"c")
        debugger.raw(b"\x03")
        assert called.wait(5)


@pytest.mark.parametrize(
    ("last", "answer"), [(b"D", b"OK"), (b"D;1", b"OK"), (b"vKill;1", b"OK"), (b"k", b"X09")]
)
def test_detach_and_kill_remove_the_breakpoints_and_disconnect_from_the_kernel(
    last: bytes, answer: bytes
) -> None:
    """After gdb's detach or kill, no breakpoint is left, and DISCONNECT is the last request."""
    machine = PageMachine()

    with bridged(machine) as (debugger, stub):
        debugger.ask(b"Z0,%x,1" % BASE)
        assert debugger.ask(last) == answer

    assert machine.planted == set()
    assert (stub.seen.requests[-1], stub.seen.connected) == (Request.DISCONNECT, False)


def test_when_the_debugger_hangs_up_the_breakpoints_are_removed_and_kdp_is_disconnected() -> None:
    """A debugger whose connection ends leaves the fake kernel no breakpoint and no connection."""
    machine = PageMachine()

    with bridged(machine) as (debugger, stub):
        debugger.ask(b"Z0,%x,1" % BASE)

    assert machine.planted == set()
    assert not stub.seen.connected


def test_an_unknown_packet_has_an_empty_answer() -> None:
    """An empty answer means 'not supported'; debuggers send the bridge dozens of such packets."""
    with bridged(PageMachine()) as (debugger, _):
        assert debugger.ask(b"jThreadsInfo") == b""
        assert debugger.ask(b"vMustReplyEmpty") == b""
        assert debugger.ask(b"qC") == b"QC1"
        assert b"ptrsize:8" in debugger.ask(b"qHostInfo")


def test_when_the_kernel_terminates_the_bridge_ends_at_once_although_breakpoints_are_set() -> None:
    """A fake kernel that has sent KDP_TERMINATION would answer no removal of a breakpoint."""
    with bridged(PageMachine(REBOOT)) as (debugger, stub):
        debugger.ask(b"Z0,%x,1" % BASE)
        began = time.monotonic()
        assert debugger.ask(b"c") == b"W00"
        assert debugger.at_end()
        took_s = time.monotonic() - began

    # One try of a request takes the client of this test one second.
    assert took_s < 1
    assert Request.BREAKPOINT64_REMOVE not in stub.seen.requests


def test_a_stop_is_reported_although_the_debugger_sent_a_late_acknowledgement() -> None:
    """The bridge does not wait for a packet after the debugger's '+' while the kernel runs."""
    with bridged(PageMachine(TRAP)) as (debugger, _):
        debugger.raw(packet(b"c") + b"+")

        assert debugger.hear() == b"T05thread:1;"


@pytest.mark.parametrize(
    "payload",
    [
        b"qXfer:features:read:target.xml:zz,100",
        b"qXfer:features:read:target.xml:0",
        b"qXfer:features:read:target.xml:",
        b"qXfer:features:read:target.xml:-5,100",
        b"p-1",
        b"m%x,-1" % BASE,
        b"Z0,-1,1",
        b"Z0",
        b"P",
    ],
)
def test_a_malformed_packet_is_answered_with_an_error_and_the_session_goes_on(
    payload: bytes,
) -> None:
    """A gdb packet to the bridge that lacks its numbers, or has a negative one, is an error."""
    with bridged(PageMachine()) as (debugger, _):
        assert debugger.ask(payload) == b"E01"
        assert debugger.ask(b"qC") == b"QC1"


def test_one_breakpoint_that_the_kernel_does_not_remove_does_not_keep_it_from_being_resumed() -> (
    None
):
    """At gdb's detach the bridge still removes the other breakpoint, and sends DISCONNECT last."""

    class Stubborn(PageMachine):
        def clear(self, address: int) -> KdpStatus:
            if address == BASE:
                return KdpStatus.BREAKPOINT_NOT_FOUND
            return super().clear(address)

    machine = Stubborn()
    with bridged(machine) as (debugger, stub):
        for address in (BASE, BASE + 8):
            assert debugger.ask(b"Z0,%x,1" % address) == b"OK"
        assert debugger.ask(b"D") == b"OK"

    assert machine.planted == {BASE}
    assert stub.seen.requests[-1] is Request.DISCONNECT
