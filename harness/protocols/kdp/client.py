# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The debugger's side of KDP over UDP: one request at a time, repeated until it is answered.

The kernel answers a repeated request with its stored reply, so a repetition is safe. Exceptions,
which the kernel sends unasked, are acknowledged here and kept for `wait_for_stop`. A running
kernel does not listen: only a stopped one answers.
Source: xnu-11417.101.15, osfmk/kdp/kdp_udp.c and kdp.c; the sequence of a session follows lldb's
ProcessKDP.
"""

import logging
import socket
import time
from collections import deque
from types import TracebackType
from typing import Self, TypeVar

from harness.errors import DebugError
from harness.protocols.kdp import codec, registers
from harness.protocols.kdp.packets import (
    DATA_MAX_BYTES,
    KDP_PORT,
    PACKET_MAX_BYTES,
    Body,
    Breakpoint,
    Connect,
    Empty,
    ExceptionNote,
    HostInfo,
    KdpStatus,
    Memory,
    Packet,
    Reattach,
    Registers,
    Request,
    ResumeCpus,
    Status,
    Termination,
    Text,
    Version,
)
from harness.protocols.kdp.target import KdpTarget, kernel_target

_BodyT = TypeVar("_BodyT", bound=Body)
_LOG = logging.getLogger(__name__)
_GREETING = "Greetings from modlab"
# lldb requests half of what the protocol allows, because some kernels' drivers accept no more.
_CHUNK_BYTES = DATA_MAX_BYTES // 2
_SEQUENCES = 256
_FROM_KERNEL = {Request.EXCEPTION, Request.TERMINATION}


class KdpSilent(DebugError):
    """Raised when the kernel answered none of the repetitions of a request."""


class KdpRefused(DebugError):
    """Raised when the kernel answers a request with an error."""

    def __init__(self, request: Request, error: int, what: str = "") -> None:
        known = {status.value for status in KdpStatus}
        word = KdpStatus(error).name if error in known else "unknown"
        super().__init__(
            f"KDP_{request.name} {what}{' ' if what else ''}refused: error {error} ({word})",
            hint="another debugger is attached; end it first"
            if error == KdpStatus.ALREADY_CONNECTED
            else "",
        )
        self.request = request
        self.error = error


class KdpOutOfStep(DebugError):
    """Raised for a reply that does not match its request.

    Another debugger is attached to the same kernel, or the peer is no kernel.
    """


class KdpTerminated(DebugError):
    """Raised when the kernel announces that it terminates."""


class KdpClient:
    """A debugger's session with one kernel; the kernel is resumed when the `with` block ends.

    `timeout_s` is how long each of the `tries` of a request waits for the reply.
    Raises: DebugError for a host that is not reachable. Every method that sends a request raises
        KdpSilent without a reply, KdpOutOfStep for a wrong one, KdpTerminated when the kernel
        ends, and DebugError while the kernel runs.
    """

    def __init__(
        self, host: str, port: int = KDP_PORT, *, timeout_s: float = 5.0, tries: int = 3
    ) -> None:
        # The defaults of both are those of lldb.
        self._timeout_s = timeout_s
        self._tries = tries
        self._peer = f"{host}:{port}"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            # Only a connected UDP socket reports that the kernel's port is closed.
            self._socket.connect((host, port))
        except (OSError, UnicodeError) as error:
            # A name that no DNS label can hold is a UnicodeError.
            self._socket.close()
            raise DebugError(f"no way to {self._peer}: {error}") from error
        self._sequence = 0
        self._key = 0
        self._connected = False
        self._noted: int | None = None
        self._notes: deque[ExceptionNote] = deque()
        self.running = False
        self.target: KdpTarget

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if not self.running:
                self.disconnect()
        except DebugError as trouble:
            _LOG.warning("the kernel was not told that the debugger left: %s", trouble.message)
        finally:
            self._socket.close()

    def fileno(self) -> int:
        """Return the socket's number, for select."""
        return self._socket.fileno()

    @property
    def connected(self) -> bool:
        """Whether the kernel has accepted KDP_CONNECT and the session has not ended."""
        return self._connected

    @property
    def has_notes(self) -> bool:
        """Whether the kernel has announced a stop that `wait_for_stop` has not returned yet."""
        return bool(self._notes)

    def connect(self) -> KdpTarget:
        """Attach to a kernel that waits for a debugger, and return what it reports about itself.

        Raises: KdpSilent; KdpRefused when another debugger is attached; KdpOutOfStep; DebugError
            for a CPU that is neither x86-64 nor arm64, or a protocol with 32-bit addresses.
        """
        # As in lldb, one port is for replies and for exceptions.
        port = self._socket.getsockname()[1]
        reply = self._exchange(Request.REATTACH, Reattach(reply_port=port))
        # The kernel gives the session's key here, and CONNECT counts from 0 again.
        self._key, self._sequence = reply.key, 0
        body = Connect(reply_port=port, exception_port=port, greeting=_GREETING)
        self._read_status(Request.CONNECT, body)
        self._connected = True
        version = self._body(Request.VERSION, Version)
        host = self._body(Request.HOSTINFO, HostInfo)
        banner = self._body(Request.KERNELVERSION, Text).text
        self.target = kernel_target(version, host, banner)
        return self.target

    def disconnect(self) -> None:
        """Resume the kernel and end the session; without a session, nothing is sent.

        A kernel that has panicked does not run on; it waits for the next debugger.
        """
        if self._connected:
            self._connected = False
            self._exchange(Request.DISCONNECT, Empty())

    def read_memory(self, address: int, size_bytes: int) -> bytes:
        """Return kernel memory, in as many requests as necessary.

        Raises: KdpRefused where nothing is mapped.
        """
        found = b""
        while len(found) < size_bytes:
            where, size = address + len(found), min(_CHUNK_BYTES, size_bytes - len(found))
            body = Memory(address=where, size_bytes=size)
            data = self._read_status(Request.READMEM64, body, what=f"of {where:#x}").data
            if len(data) != size:
                raise KdpOutOfStep(f"{size} bytes of {where:#x} were asked for, {len(data)} came")
            found += data
        return found

    def write_memory(self, address: int, data: bytes) -> None:
        """Change kernel memory.

        Raises: KdpRefused where nothing is mapped.
        """
        for start in range(0, len(data), _CHUNK_BYTES):
            part = data[start : start + _CHUNK_BYTES]
            body = Memory(address=address + start, size_bytes=len(part), data=part)
            self._read_status(Request.WRITEMEM64, body, what=f"at {address + start:#x}")

    def read_registers(self) -> dict[str, int]:
        """Return the registers of the CPU that stopped, by KDP's names.

        Raises: KdpRefused; DebugError when the kernel sends another number of bytes.
        """
        flavor = registers.THREAD[self.target.cpu_type]
        body = Registers(cpu=0, flavor=flavor.number)
        return flavor.decode(self._read_status(Request.READREGS, body).data)

    def write_registers(self, values: dict[str, int]) -> None:
        """Set all registers of the CPU that stopped, by KDP's names.

        Raises: DebugError when a register is missing in `values` or too wide; KdpRefused.
        """
        flavor = registers.THREAD[self.target.cpu_type]
        body = Registers(cpu=0, flavor=flavor.number, data=flavor.encode(values))
        self._read_status(Request.WRITEREGS, body)

    def set_breakpoint(self, address: int) -> None:
        """Let the kernel set a breakpoint.

        Raises: KdpRefused when it has no breakpoint left, no memory at that address, or a
            breakpoint there already.
        """
        body = Breakpoint(address=address)
        self._read_status(Request.BREAKPOINT64_SET, body, what=f"at {address:#x}")

    def remove_breakpoint(self, address: int) -> None:
        """Let the kernel remove a breakpoint; KdpRefused is raised if there is none."""
        body = Breakpoint(address=address)
        self._read_status(Request.BREAKPOINT64_REMOVE, body, what=f"at {address:#x}")

    def resume(self) -> None:
        """Let the kernel run until something stops it; see `wait_for_stop`."""
        # A stop that was announced before is over when the kernel runs.
        self._notes.clear()
        self._exchange(Request.RESUMECPUS, ResumeCpus(cpu_mask=self.target.cpus_mask))
        self.running = True

    def wait_for_stop(self, *, deadline_s: float) -> ExceptionNote | None:
        """Return why the kernel stopped, None when it did not stop within `deadline_s` seconds.

        Raises: KdpTerminated when it terminated instead.
        """
        end = time.monotonic() + deadline_s
        while not self._notes:
            left = end - time.monotonic()
            packet = self._receive(left)
            if packet is None and left <= 0:
                return None
            if packet is not None and packet.is_reply:
                _LOG.debug("a late reply: %s", packet)
        self.running = False
        return self._notes.popleft()

    def _body(self, request: Request, expected: type[_BodyT]) -> _BodyT:
        body = self._exchange(request, Empty()).body
        if not isinstance(body, expected):
            raise KdpOutOfStep(f"KDP_{request.name} is answered with {body}")
        return body

    def _read_status(self, request: Request, body: Body, *, what: str = "") -> Status:
        reply = self._exchange(request, body).body
        if not isinstance(reply, Status):
            raise KdpOutOfStep(f"KDP_{request.name} is answered with {reply}")
        if reply.error:
            raise KdpRefused(request, reply.error, what)
        return reply

    def _exchange(self, request: Request, body: Body) -> Packet:
        """Send a request up to `tries` times, and return the reply.

        Raises: KdpSilent without a reply; DebugError while the kernel runs; the errors of
        `_await`.
        """
        if self.running:
            raise DebugError("the kernel runs: KDP cannot interrupt it", hint=_NMI_HINT)
        sequence = self._sequence
        packet = Packet(
            request=request, is_reply=False, sequence=sequence, key=self._key, body=body
        )
        data = codec.encode(packet)
        for attempt in range(self._tries):
            if attempt:
                _LOG.info("KDP_%s %d: try %d", request.name, sequence, attempt + 1)
            self._send(data)
            reply = self._await(packet)
            if reply is not None:
                self._sequence = (sequence + 1) % _SEQUENCES
                return reply
        raise KdpSilent(
            f"{self._peer} answered none of {self._tries} KDP_{request.name}, "
            f"{self._timeout_s:g} s each",
            hint="the kernel answers only while it waits for a debugger: its console says "
            "'Waiting for remote debugger connection'",
        )

    def _await(self, asked: Packet) -> Packet | None:
        """Return the reply to the current request, None when the time of one try is over.

        Raises: KdpOutOfStep for a reply to a request that was not sent; KdpTerminated.
        """
        end = time.monotonic() + self._timeout_s
        while (left := end - time.monotonic()) > 0:
            packet = self._receive(left)
            if packet is None or not packet.is_reply:
                continue
            behind = (asked.sequence - packet.sequence) % _SEQUENCES
            if behind == 0 and packet.request is asked.request:
                return packet
            if packet.request is Request.REATTACH:
                # CONNECT counts from 0 again, so the second answer to a repeated REATTACH is only
                # late.
                _LOG.debug("a late reply to KDP_REATTACH")
                continue
            # Numbers wrap, so a difference of more than half of them means that the reply is
            # ahead.
            if behind == 0 or behind > _SEQUENCES // 2:
                raise KdpOutOfStep(
                    f"a reply to KDP_{packet.request.name} {packet.sequence} came while "
                    f"KDP_{asked.request.name} {asked.sequence} was asked",
                    hint="is another debugger attached to the same kernel?",
                )
            _LOG.debug("an old reply, to %d", packet.sequence)
        return None

    def _send(self, data: bytes) -> None:
        """Send a datagram; it is lost without an error when the kernel's port is closed.

        Raises: DebugError when it cannot be sent for another reason.
        """
        try:
            self._socket.send(data)
        except ConnectionRefusedError:
            _LOG.info("%s: no one listens", self._peer)
        except OSError as error:
            raise DebugError(f"nothing can be sent to {self._peer}: {error}") from error

    def _receive(self, wait_s: float) -> Packet | None:
        """Return the next packet, or None for no packet within `wait_s` seconds or for a bad one.

        An announcement of a stop is acknowledged at once, kept for `wait_for_stop`, and returned
        too. A closed port of the kernel counts as no packet.
        Raises: KdpTerminated when the kernel announces its end; DebugError when the socket fails.
        """
        # A timeout of 0 would mean "do not block", which raises another error.
        self._socket.settimeout(max(wait_s, 0.001))
        try:
            # A datagram that is too long must not be cut to one that looks right.
            packet = codec.decode(self._socket.recv(2 * PACKET_MAX_BYTES))
        except TimeoutError:
            return None
        except ConnectionRefusedError:
            # The kernel's port is closed while the kernel runs and opens when it stops, so wait.
            time.sleep(min(wait_s, self._timeout_s / 10))
            return None
        except OSError as error:
            raise DebugError(f"nothing can be received from {self._peer}: {error}") from error
        except codec.KdpMalformed as error:
            _LOG.warning("from %s: %s", self._peer, error.message)
            return None
        if not packet.is_reply and packet.request in _FROM_KERNEL:
            self._acknowledge(packet)
        return packet

    def _acknowledge(self, note: Packet) -> None:
        """Acknowledge a packet that the kernel sends unasked; keep an announcement of a new stop.

        Raises: KdpTerminated when the packet announces the kernel's end.
        """
        answer = Packet(
            request=note.request, is_reply=True, sequence=note.sequence, key=note.key, body=Empty()
        )
        self._send(codec.encode(answer))
        if isinstance(note.body, Termination):
            self._connected = self.running = False
            raise KdpTerminated(f"the kernel ends: code {note.body.term_code}")
        if isinstance(note.body, ExceptionNote) and note.sequence != self._noted:
            self._noted = note.sequence
            self._notes.append(note.body)


_NMI_HINT = "an NMI stops it when it was booted with debug=0x4: virsh inject-nmi DOMAIN"
