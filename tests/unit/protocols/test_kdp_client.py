# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the KDP client against the stub: a whole session, and every failure of the network."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from harness.errors import DebugError
from harness.protocols.kdp.client import KdpClient, KdpOutOfStep, KdpRefused, KdpSilent
from harness.protocols.kdp.packets import ExceptionInfo, KdpStatus, Request
from harness.protocols.kdp.stub import Faults, StubServer
from tests.unit.kdp_machine import BASE, PageMachine

BREAKPOINT = ExceptionInfo(cpu=0, exception=6, code=2, subcode=0)


@contextmanager
def attached(
    machine: PageMachine, faults: Faults | None = None, *, timeout_s: float = 0.2, tries: int = 3
) -> Iterator[tuple[KdpClient, StubServer]]:
    """Give a client that is attached to a KDP stub on this machine."""
    with (
        StubServer(machine, faults=faults) as stub,
        KdpClient("127.0.0.1", stub.port, timeout_s=timeout_s, tries=tries) as client,
    ):
        client.connect()
        yield client, stub


def test_attach_and_detach_send_the_kdp_requests_in_the_order_kernels_expect() -> None:
    """To a fake kernel go REATTACH, CONNECT, VERSION, HOSTINFO, KERNELVERSION, DISCONNECT."""
    with attached(PageMachine()) as (client, stub):
        target = client.target

    assert stub.seen.requests == [
        Request.REATTACH,
        Request.CONNECT,
        Request.VERSION,
        Request.HOSTINFO,
        Request.KERNELVERSION,
        Request.DISCONNECT,
    ]
    assert not stub.seen.connected
    assert (target.text_address, target.uuid) == (BASE, "01234567-89AB-CDEF-0123-456789ABCDEF")
    assert (target.version, target.feature, target.cpus_mask) == (12, 1, 1)


def test_kdp_reads_and_writes_memory_larger_than_a_packet_and_changes_registers() -> None:
    """From a fake kernel, several packets are joined, and written values can be read back."""
    machine = PageMachine()

    with attached(machine) as (client, _):
        assert client.read_memory(BASE + 3, 1500) == bytes(range(256))[3:] + bytes(
            range(256)
        ) * 4 + bytes(range(223))
        client.write_memory(BASE + 1, b"\xcc" * 600)
        client.write_registers({**client.read_registers(), "rip": BASE, "gs": 7})
        values = client.read_registers()

    assert machine.memory[:602] == b"\0" + b"\xcc" * 600 + bytes((601 % 256,))
    assert (values["rip"], values["gs"], values["rsi"]) == (BASE, 7, 0)


def test_an_unmapped_address_is_refused_with_the_kernels_error() -> None:
    """Reading an unmapped address is an error with the kernel's code, its name and the address."""
    with attached(PageMachine()) as (client, _), pytest.raises(KdpRefused) as caught:
        client.read_memory(0x1000, 4)

    assert caught.value.error == KdpStatus.BAD_ACCESS
    assert caught.value.message == ("KDP_READMEM64 of 0x1000 refused: error 4 (BAD_ACCESS)")


def test_setting_a_breakpoint_twice_is_refused() -> None:
    """A fake KDP kernel refuses a second equal breakpoint and the removal of one not set."""
    with attached(PageMachine()) as (client, _):
        client.set_breakpoint(BASE)
        with pytest.raises(KdpRefused, match="BREAKPOINT_ALREADY_SET"):
            client.set_breakpoint(BASE)
        client.remove_breakpoint(BASE)
        with pytest.raises(KdpRefused, match="BREAKPOINT_NOT_FOUND"):
            client.remove_breakpoint(BASE)


def test_the_client_acknowledges_an_exception_after_resume_so_that_it_is_sent_once() -> None:
    """A resumed fake KDP kernel sends its exception once, and then answers requests again.

    The exception is sent once only because the client acknowledges it.
    """
    with attached(PageMachine(BREAKPOINT)) as (client, stub):
        client.resume()
        note = client.wait_for_stop(deadline_s=5)
        assert client.read_memory(BASE, 1) == b"\0"

    assert note is not None
    assert note.stops == (BREAKPOINT,)
    assert stub.seen.exceptions_sent == 1


def test_a_request_to_a_running_kernel_is_an_error() -> None:
    """The KDP client's error for a request while the kernel runs says how to interrupt it.

    Waiting for a stop has a deadline.
    """
    with attached(PageMachine()) as (client, _):
        client.resume()
        assert client.wait_for_stop(deadline_s=0.05) is None
        with pytest.raises(DebugError, match="cannot interrupt") as caught:
            client.read_memory(BASE, 1)

    assert "inject-nmi" in caught.value.hint


@pytest.mark.parametrize("seed", range(6))
def test_with_lost_and_doubled_packets_each_request_is_executed_once(seed: int) -> None:
    """A third of the packets to the fake KDP kernel are lost, and the client sends them again."""
    faults = Faults(seed=seed, lose_requests=0.3, lose_replies=0.3, repeat_replies=0.2)
    machine = PageMachine(BREAKPOINT, BREAKPOINT)

    with attached(machine, faults, timeout_s=0.05, tries=400) as (client, stub):
        for number in range(8):
            client.write_memory(BASE + number, bytes((number ^ 0xFF,)))
        for _ in range(2):
            client.resume()
            assert client.wait_for_stop(deadline_s=10) is not None
        assert client.read_memory(BASE, 8) == bytes(number ^ 0xFF for number in range(8))

    assert stub.seen.requests.count(Request.WRITEMEM64) == 8
    assert (stub.seen.requests.count(Request.RESUMECPUS), machine.runs) == (2, 2)
    assert stub.seen.lost > 0


def test_each_of_300_requests_is_executed_although_sequence_numbers_wrap_at_256() -> None:
    """The 257th request has the first one's sequence number, and counts as a new request."""
    with attached(PageMachine()) as (client, stub):
        for number in range(300):
            client.write_memory(BASE, bytes((number % 256,)))
        assert client.read_memory(BASE, 1) == bytes((299 % 256,))

    assert stub.seen.requests.count(Request.WRITEMEM64) == 300


def test_garbage_before_a_reply_is_ignored() -> None:
    """A datagram that is no KDP packet does not end the client's session."""
    with attached(PageMachine(), Faults(garbage=True)) as (client, _):
        assert client.read_memory(BASE, 2) == b"\0\1"


def test_a_repeated_reply_to_reattach_is_not_taken_for_the_reply_to_connect() -> None:
    """The second copy of REATTACH's reply is ignored, although CONNECT has the same number 0."""
    with attached(PageMachine(), Faults(repeat_replies=1.0), timeout_s=5.0) as (client, stub):
        assert client.read_memory(BASE, 4)

    assert stub.seen.requests[:2] == [Request.REATTACH, Request.CONNECT]


def test_a_silent_kernel_is_an_error_after_all_tries() -> None:
    """The KDP client's error names the address, the request, the tries and the time of each."""
    with (
        StubServer(PageMachine(), faults=Faults(silent=True)) as stub,
        KdpClient("127.0.0.1", stub.port, timeout_s=0.05, tries=2) as client,
        pytest.raises(KdpSilent) as caught,
    ):
        client.connect()

    assert caught.value.message == (
        f"127.0.0.1:{stub.port} answered none of 2 KDP_REATTACH, 0.05 s each"
    )
    assert "Waiting for remote debugger" in caught.value.hint


def test_a_closed_port_is_treated_as_a_silent_kernel() -> None:
    """An ICMP refusal is not the end: a kernel opens its KDP port only when it stops."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with (
        KdpClient("127.0.0.1", port, timeout_s=0.05, tries=2) as client,
        pytest.raises(KdpSilent, match="none of 2"),
    ):
        client.connect()


def test_connecting_to_a_kernel_that_has_a_debugger_fails_with_a_hint_at_that_debugger() -> None:
    """If the fake kernel answers ALREADY_CONNECTED, the client's error names another debugger."""
    faults = Faults(refuse=KdpStatus.ALREADY_CONNECTED)

    with pytest.raises(KdpRefused) as caught, attached(PageMachine(), faults):
        pass

    assert caught.value.message == "KDP_CONNECT refused: error 1 (ALREADY_CONNECTED)"
    assert "another debugger" in caught.value.hint


def test_a_kdp_reply_with_a_greater_sequence_number_than_the_request_is_an_error() -> None:
    """A greater number shows that another debugger sends requests to the same kernel."""
    with (
        pytest.raises(KdpOutOfStep, match="KDP_VERSION 3 came while KDP_VERSION 1"),
        attached(PageMachine(), Faults(sequence_shift=2)),
    ):
        pass


def test_the_kernel_counts_as_silent_if_replies_after_attaching_have_smaller_numbers() -> None:
    """A KDP reply with an earlier sequence number is ignored as a late repetition.

    The request is sent again until the tries are used up.
    """
    with (
        pytest.raises(KdpSilent),
        attached(PageMachine(), Faults(sequence_shift=-1), timeout_s=0.05, tries=2),
    ):
        pass


def test_a_reply_to_another_request_is_an_error() -> None:
    """A KDP reply with the right sequence number but another request's type is an error."""
    with (
        pytest.raises(KdpOutOfStep, match="KDP_HOSTINFO 1 came while KDP_VERSION 1"),
        attached(PageMachine(), Faults(wrong_request=True)),
    ):
        pass


def test_a_host_name_that_no_dns_label_can_hold_is_an_error() -> None:
    """The KDP client raises DebugError for a name for which Python raises UnicodeError."""
    with pytest.raises(DebugError, match=r"no way to a\.\.b:41139"):
        KdpClient("a..b")


def test_a_kernel_whose_version_has_no_valid_address_has_the_address_0() -> None:
    """Without a number in the KDP version text, the kernel's load address is 0 for unknown."""
    machine = PageMachine()
    machine.banner = "Darwin Kernel Version 22.1.0; UUID=0123; stext=unknown"

    with attached(machine) as (client, _):
        assert client.target.text_address == 0


def test_an_error_of_the_network_while_a_reply_is_awaited_is_a_debug_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host that becomes unreachable ends the KDP client with DebugError, not OSError."""

    def unreachable(_size: int) -> bytes:
        raise OSError(errno.EHOSTUNREACH, "No route to host")

    with attached(PageMachine()) as (client, _):
        real = client._socket
        broken = SimpleNamespace(send=real.send, settimeout=real.settimeout, recv=unreachable)
        monkeypatch.setattr(client, "_socket", broken)
        with pytest.raises(DebugError, match="No route to host"):
            client.read_memory(BASE, 1)
        monkeypatch.setattr(client, "_socket", real)
