# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The kernel's side of KDP, for any machine that can be stopped; tests attach to it.

It follows XNU's rules. One sequence number is correct, its predecessor gets the stored reply
again, and all other packets of a session are discarded. An exception is repeated until it is
acknowledged, but at most 40 times. For tests it can also refuse a debugger, and lose, repeat and
falsify packets, at random from a given seed.
Source: xnu-11417.101.15, osfmk/kdp/kdp.c and kdp_udp.c.
"""

import random
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Protocol, Self

from harness.protocols.kdp import codec, registers
from harness.protocols.kdp.packets import (
    DATA_MAX_BYTES,
    FEATURE_BREAKPOINTS,
    PACKET_MAX_BYTES,
    Body,
    Breakpoint,
    Connect,
    Empty,
    ExceptionInfo,
    ExceptionNote,
    HostInfo,
    KdpStatus,
    MaxBytes,
    Memory,
    Packet,
    Reattach,
    Registers,
    Request,
    Status,
    Termination,
    Text,
    Version,
)

_LOOPBACK = "127.0.0.1"

_KEY = 0x0BADCAFE
_VERSION = 12
_SEQUENCES = 256
_POLL_S = 0.05
# XNU repeats an exception until it is acknowledged; a test must end also without a debugger.
_EXCEPTION_TRIES = 40
_ATTACHING = {Request.CONNECT, Request.REATTACH}


class Machine(Protocol):
    """The interface of the machine that StubServer lets a debugger control: memory and one CPU.

    Every method except `run` is called while the machine is stopped. `banner` is its version text.
    """

    cpu_type: int
    cpu_subtype: int
    banner: str

    def read(self, address: int, size_bytes: int) -> bytes | None:
        """Return the machine's memory, or None where some of it is not mapped."""

    def write(self, address: int, data: bytes) -> bool:
        """Write data to memory; return False where some of the addresses are not mapped."""

    def plant(self, address: int) -> KdpStatus:
        """Set a breakpoint, and return the status for the reply."""

    def clear(self, address: int) -> KdpStatus:
        """Remove a breakpoint, and return the status for the reply."""

    def registers(self) -> dict[str, int]:
        """Return the registers of the CPU, by KDP's names."""

    def set_registers(self, values: dict[str, int]) -> None:
        """Set the registers of the CPU, given by KDP's names."""

    def run(self) -> ExceptionInfo | Termination | None:
        """Run until a breakpoint or an exception, and return it; None when the program has ended.

        A Termination means that the machine announces its end to the debugger.
        """


@dataclass(frozen=True, kw_only=True)
class Faults:
    """The faults that the stub makes on purpose, so that tests see how a debugger copes with them.

    `lose_*` and `repeat_replies` are probabilities from 0 to 1. `silent` means that no request is
    answered. `refuse` is the status of the reply to CONNECT. `sequence_shift` is added to the
    sequence numbers of replies. `wrong_request` answers VERSION with the reply to another request.
    `garbage` sends bytes that are no packet before each reply.
    """

    seed: int = 0
    lose_requests: float = 0.0
    lose_replies: float = 0.0
    repeat_replies: float = 0.0
    silent: bool = False
    refuse: KdpStatus = KdpStatus.NO_ERROR
    sequence_shift: int = 0
    wrong_request: bool = False
    garbage: bool = False


@dataclass
class Seen:
    """The packets that the stub has handled, for the assertions of tests.

    `requests` are those that it executed. `lost` counts the packets that it lost on purpose, in
    both directions. `resent` counts stored replies, `thrown_away` discarded requests, and
    `exceptions_sent` each announcement of a stop or of the end, repeated ones included.
    `connected` tells whether a debugger is connected now.
    """

    requests: list[Request] = field(default_factory=list)
    lost: int = 0
    resent: int = 0
    thrown_away: int = 0
    exceptions_sent: int = 0
    connected: bool = False


class StubServer:
    """A KDP server on a loopback port, served by a thread until the `with` block ends."""

    def __init__(self, machine: Machine, *, faults: Faults | None = None) -> None:
        self._machine = machine
        self._faults = faults or Faults()
        self._random = random.Random(self._faults.seed)  # noqa: S311 - faults, not secrets
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((_LOOPBACK, 0))
        self._socket.settimeout(_POLL_S)
        self.port: int = self._socket.getsockname()[1]
        self.seen = Seen()
        self._expected = 0
        self._exception_sequence = 0
        self._saved = b""
        self._debugger = (_LOOPBACK, 0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._answers: dict[Request, Callable[[Body], Body]] = {
            Request.HOSTINFO: self._hostinfo,
            Request.VERSION: lambda _body: Version(version=_VERSION, feature=FEATURE_BREAKPOINTS),
            Request.MAXBYTES: lambda _body: MaxBytes(max_bytes=DATA_MAX_BYTES),
            Request.KERNELVERSION: lambda _body: Text(text=machine.banner),
            Request.READMEM64: self._read_memory,
            Request.WRITEMEM64: self._write_memory,
            Request.READREGS: self._read_registers,
            Request.WRITEREGS: self._write_registers,
            Request.BREAKPOINT64_SET: self._plant,
            Request.BREAKPOINT64_REMOVE: self._clear,
            Request.RESUMECPUS: lambda _body: Empty(),
            Request.DISCONNECT: self._disconnect,
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            packet = self._receive()
            if packet is None or packet.is_reply or self._faults.silent:
                continue
            if self._handle(packet) and packet.request is Request.RESUMECPUS:
                self._run()

    def _receive(self) -> Packet | None:
        try:
            data, sender = self._socket.recvfrom(2 * PACKET_MAX_BYTES)
            packet = codec.decode(data)
        except (TimeoutError, codec.KdpMalformed):
            return None
        if self._chance(self._faults.lose_requests):
            self.seen.lost += 1
            return None
        if packet.request in _ATTACHING:
            self._debugger = (sender[0], self._debugger[1])
        return packet

    def _chance(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability

    def _handle(self, packet: Packet) -> bool:
        """Answer one request of the debugger; return whether it was executed.

        A repeated request only gets the stored reply, and one with a wrong sequence number or key
        gets none: for both the result is False.
        """
        if isinstance(packet.body, Connect | Reattach):
            return self._attach(packet)
        if not self.seen.connected or packet.key != _KEY:
            self.seen.thrown_away += 1
            return False
        if (packet.sequence + 1) % _SEQUENCES == self._expected:
            self.seen.resent += 1
            self._send(self._saved)
            return False
        if packet.sequence != self._expected:
            self.seen.thrown_away += 1
            return False
        self.seen.requests.append(packet.request)
        answer = self._answers.get(packet.request)
        body = answer(packet.body) if answer else Empty()
        self._expected = (self._expected + 1) % _SEQUENCES
        self._reply(packet, body)
        return True

    def _attach(self, packet: Packet) -> bool:
        body = packet.body
        if not isinstance(body, Connect | Reattach):
            return False
        self._debugger = (self._debugger[0], body.reply_port)
        if isinstance(body, Reattach):
            self.seen.requests.append(packet.request)
            self._expected, self._exception_sequence = 0, 0
            self._reply(packet, Empty())
            return True
        # The debugger has lost the reply to its CONNECT, and repeats the request.
        if self._expected == 1 and self.seen.connected:
            self.seen.resent += 1
            self._send(self._saved)
            return False
        self.seen.requests.append(packet.request)
        error = self._faults.refuse
        if error is KdpStatus.NO_ERROR:
            self.seen.connected, self._expected = True, 1
        self._reply(packet, Status(error=error))
        return True

    def _reply(self, packet: Packet, body: Body) -> None:
        answer = replace(packet, is_reply=True, key=_KEY, body=body)
        shift = self._faults.sequence_shift
        if shift and packet.request not in _ATTACHING:
            answer = replace(answer, sequence=(answer.sequence + shift) % _SEQUENCES)
        if self._faults.wrong_request and packet.request is Request.VERSION:
            host = HostInfo(cpus_mask=1, cpu_type=0, cpu_subtype=0)
            answer = replace(answer, request=Request.HOSTINFO, body=host)
        self._saved = codec.encode(answer)
        if self._faults.garbage:
            self._send(b"\xff" * 11)
        self._send(self._saved)
        if self._chance(self._faults.repeat_replies):
            self._send(self._saved)

    def _send(self, data: bytes) -> None:
        if self._chance(self._faults.lose_replies):
            self.seen.lost += 1
            return
        self._socket.sendto(data, self._debugger)

    def _run(self) -> None:
        stop = self._machine.run()
        if stop is None:
            return
        ends = isinstance(stop, Termination)
        note = Packet(
            request=Request.TERMINATION if ends else Request.EXCEPTION,
            is_reply=False,
            sequence=self._exception_sequence,
            key=_KEY,
            body=stop if isinstance(stop, Termination) else ExceptionNote(stops=(stop,)),
        )
        for _ in range(_EXCEPTION_TRIES):
            self.seen.exceptions_sent += 1
            self._send(codec.encode(note))
            if self._wait_for_acknowledgement(note):
                break
        self._exception_sequence = (self._exception_sequence + 1) % _SEQUENCES
        if ends:
            self.seen.connected = False

    def _wait_for_acknowledgement(self, note: Packet) -> bool:
        """Wait for the debugger to acknowledge the announcement of a stop; False to repeat it.

        Requests that arrive meanwhile are answered. The result is False when no packet arrives for
        0.05 s or the acknowledgement is of another one, and True also when the stub is to end.
        """
        while not self._over.is_set():
            packet = self._receive()
            if packet is None:
                return False
            if packet.is_reply and packet.request is note.request:
                return packet.sequence == note.sequence
            self._handle(packet)
        return True

    # --- answers ---------------------------------------------------------------------------------

    def _hostinfo(self, _body: Body) -> Body:
        machine = self._machine
        return HostInfo(cpus_mask=1, cpu_type=machine.cpu_type, cpu_subtype=machine.cpu_subtype)

    def _disconnect(self, _body: Body) -> Body:
        self.seen.connected = False
        return Empty()

    def _read_memory(self, body: Body) -> Body:
        if not isinstance(body, Memory) or body.size_bytes > DATA_MAX_BYTES:
            return Status(error=KdpStatus.BAD_NBYTES)
        data = self._machine.read(body.address, body.size_bytes)
        if data is None:
            return Status(error=KdpStatus.BAD_ACCESS)
        return Status(error=KdpStatus.NO_ERROR, data=data)

    def _write_memory(self, body: Body) -> Body:
        if not isinstance(body, Memory) or body.size_bytes > DATA_MAX_BYTES:
            return Status(error=KdpStatus.BAD_NBYTES)
        mapped = self._machine.write(body.address, body.data)
        return Status(error=KdpStatus.NO_ERROR if mapped else KdpStatus.BAD_ACCESS)

    def _read_registers(self, body: Body) -> Body:
        flavor = registers.THREAD[self._machine.cpu_type]
        if not isinstance(body, Registers) or body.flavor != flavor.number:
            return Status(error=KdpStatus.BAD_FLAVOR)
        return Status(error=KdpStatus.NO_ERROR, data=flavor.encode(self._machine.registers()))

    def _write_registers(self, body: Body) -> Body:
        flavor = registers.THREAD[self._machine.cpu_type]
        if not isinstance(body, Registers) or body.flavor != flavor.number:
            return Status(error=KdpStatus.BAD_FLAVOR)
        if len(body.data) != flavor.size_bytes:
            return Status(error=KdpStatus.BAD_NBYTES)
        self._machine.set_registers(flavor.decode(body.data))
        return Status(error=KdpStatus.NO_ERROR)

    def _plant(self, body: Body) -> Body:
        if not isinstance(body, Breakpoint):
            return Status(error=KdpStatus.BAD_NBYTES)
        return Status(error=self._machine.plant(body.address))

    def _clear(self, body: Body) -> Body:
        if not isinstance(body, Breakpoint):
            return Status(error=KdpStatus.BAD_NBYTES)
        return Status(error=self._machine.clear(body.address))
