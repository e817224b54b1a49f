# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Translate gdb-remote, for a debugger on one side, to KDP, for a kernel on the other.

lldb outside of macOS has no KDP, and gdb never had it. Both use this bridge like any gdb stub. It
serves one debugger and shows one thread, because KDP shows only the CPU that stopped. KDP cannot
interrupt a running kernel; a caller that can inject an NMI passes a function for that as
`interrupt`.
"""

import logging
import select
from collections.abc import Callable

from harness.errors import DebugError
from harness.protocols import rsp
from harness.protocols.kdp.client import KdpClient, KdpRefused, KdpTerminated
from harness.protocols.kdp.packets import ExceptionNote
from harness.protocols.kdp.registers import CPU_TYPE_ARM64, CPU_TYPE_X86_64
from harness.protocols.kdp.target_xml import DESCRIPTIONS
from harness.protocols.rsp_socket import Link

_LOG = logging.getLogger(__name__)
# RFLAGS.TF, the trap flag. Source: Intel SDM volume 1, 3.4.3.3.
_TRAP_FLAG = 1 << 8
# Exceptions of mach/exception_types.h as signals: BAD_ACCESS, BAD_INSTRUCTION, ARITHMETIC; every
# other one is SIGTRAP.
_SIGNALS = {1: 11, 2: 4, 3: 8}
_SIGTRAP = 5
_THREAD = b"1"
_POLL_S = 0.2
# The size of a breakpoint's instruction: int3 on x86-64, brk on arm64.
_TRAP_BYTES = {CPU_TYPE_X86_64: 1, CPU_TYPE_ARM64: 4}
_BAD = b"E01"
# gdb-remote's numbers are hexadecimal: a packet has 4096 bytes at most.
_FEATURES = b"PacketSize=1000;qXfer:features:read+;QStartNoAckMode+;vContSupported+"
# The debugger's requests whose answers do not depend on the kernel.
_FIXED = {
    b"qC": b"QC" + _THREAD,
    b"qfThreadInfo": b"m" + _THREAD,
    b"qsThreadInfo": b"l",
    b"qAttached": b"1",
    b"vCont?": b"vCont;c;s",
}


class Bridge:
    """One debugger's session with a kernel to which `client` is connected; `serve` runs it.

    `interrupt` stops the running kernel from outside, as an NMI does. Without it, the debugger
    gets a text that says that KDP cannot do so.
    """

    def __init__(
        self, link: Link, client: KdpClient, *, interrupt: Callable[[], None] | None = None
    ) -> None:
        self._link = link
        self._client = client
        self._interrupt = interrupt
        self._description = DESCRIPTIONS[client.target.cpu_type]
        # The bytes that a breakpoint replaced: debuggers expect to read those.
        self._breakpoints: dict[int, bytes] = {}
        self._stop = b"T05thread:" + _THREAD + b";"
        # A debugger reads one register per packet, but a kernel sends all of them in one.
        self._values: dict[str, int] | None = None
        self._handlers: dict[bytes, Callable[[bytes], bytes]] = {
            b"g": self._read_all,
            b"G": self._write_all,
            b"p": self._read_one,
            b"P": self._write_one,
            b"m": self._read_memory,
            b"M": self._write_hex,
            b"X": self._write_binary,
            b"Z": self._insert,
            b"z": self._remove,
        }

    def serve(self) -> None:
        """Answer the debugger until it detaches or one side is gone.

        At the end a stopped kernel's breakpoints are removed and the kernel is resumed, also when
        the debugger was killed. A kernel that runs then keeps its breakpoints, because KDP cannot
        reach it.
        Raises: DebugError for a failure of the kernel that no answer of gdb-remote can express.
        """
        try:
            while self._turn():
                pass
        finally:
            try:
                self._let_go()
            finally:
                self._link.close()

    def _turn(self) -> bool:
        """Wait for a packet of the debugger or a stop of the kernel, and handle it.

        Return whether the session continues. If the kernel terminates, the debugger is told that
        its process has exited, and the result is False.
        """
        try:
            return self._running_turn() if self._client.running else self._stopped_turn()
        except KdpTerminated as error:
            _LOG.info("%s", error.message)
            # This packet tells the debugger that its process has ended.
            self._link.send(b"W00")
            return False

    def _stopped_turn(self) -> bool:
        piece = self._link.next()
        if piece is None:
            return False
        return piece.kind is rsp.Kind.INTERRUPT or self._packet(piece.payload)

    def _running_turn(self) -> bool:
        if self._client.has_notes:
            self._look_at_kernel()
            return True
        piece = self._link.take()
        if piece is None:
            return self._wait_for_either()
        if piece.kind is rsp.Kind.INTERRUPT:
            self._stop_kernel()
        else:
            _LOG.warning("while the kernel runs, the debugger said %s", piece.payload[:40])
        return True

    def _wait_for_either(self) -> bool:
        """Wait up to 0.2 s for bytes of the debugger or of the kernel.

        Return False when the debugger is gone, else True. If the kernel has stopped, the debugger
        gets a report of that.
        """
        both: list[Link | KdpClient] = [self._link, self._client]
        ready, _, _ = select.select(both, [], [], _POLL_S)
        if self._link in ready and not self._link.read():
            return False
        if self._client in ready:
            self._look_at_kernel()
        return True

    def _look_at_kernel(self) -> None:
        note = self._client.wait_for_stop(deadline_s=0.0)
        if note is not None:
            self._settle_trap(note)
            self._link.send(self._stop)

    def _stop_kernel(self) -> None:
        if self._interrupt is None:
            word = "KDP cannot interrupt a running kernel; an NMI can (debug=0x4)\n"
            self._link.send(b"O" + word.encode().hex().encode())
        else:
            self._interrupt()

    def _settle_trap(self, note: ExceptionNote) -> None:
        """Prepare the report of a stop for the debugger, and correct the registers on x86-64.

        The pc is moved back to the breakpoint that was hit, and the trap flag of a single step is
        cleared, as gdb-remote expects it of a stub.
        """
        exception = note.stops[0].exception if note.stops else 0
        self._stop = b"T%02xthread:%s;" % (_SIGNALS.get(exception, _SIGTRAP), _THREAD)
        if self._client.target.cpu_type != CPU_TYPE_X86_64:
            return
        values = self._registers()
        mended = {**values, "rflags": values["rflags"] & ~_TRAP_FLAG}
        stepped = values["rflags"] & _TRAP_FLAG
        before = values["rip"] - _TRAP_BYTES[CPU_TYPE_X86_64]
        if not stepped and before in self._breakpoints and values["rip"] not in self._breakpoints:
            mended["rip"] = before
        if mended != values:
            self._set_registers(mended)

    def _let_go(self) -> None:
        if self._client.running:
            _LOG.info("the kernel continues with its breakpoints: KDP reaches no running kernel")
            return
        if not self._client.connected:
            return
        for address in sorted(self._breakpoints):
            try:
                self._client.remove_breakpoint(address)
            except KdpRefused as error:
                _LOG.warning("a breakpoint stays: %s", error.message)
        self._breakpoints.clear()
        self._client.disconnect()

    # --- packets ---------------------------------------------------------------------------------

    def _packet(self, payload: bytes) -> bool:
        """Answer one gdb-remote packet of the debugger; return False when the session is over."""
        if payload in {b"k", b"vKill;1"} or payload.startswith(b"D"):
            self._let_go()
            self._link.send(b"X09" if payload == b"k" else b"OK")
            return False
        if payload[:1] in {b"c", b"s"} or payload.startswith(b"vCont;"):
            return self._go(payload)
        if payload == b"QStartNoAckMode":
            self._link.send(b"OK")
            self._link.acknowledges = False
            return True
        self._link.send(self._answer(payload))
        return True

    def _answer(self, payload: bytes) -> bytes:
        handler = self._handlers.get(payload[:1])
        try:
            return self._query(payload) if handler is None else handler(payload[1:])
        except KdpTerminated:
            raise
        except (DebugError, ValueError, IndexError) as error:
            _LOG.info("%s: %s", payload[:40], error)
            return _BAD

    def _query(self, payload: bytes) -> bytes:
        if payload in _FIXED:
            return _FIXED[payload]
        # Only lldb sends this packet, so it shows which debugger is attached; the answer means
        # "not supported".
        if payload == b"QThreadSuffixSupported":
            self._description = DESCRIPTIONS[self._client.target.cpu_type].for_lldb()
            return b""
        # 'H' chooses a thread and 'T' asks whether one lives: there is only one.
        if payload == b"?" or payload[:1] in {b"H", b"T"}:
            return self._stop if payload == b"?" else b"OK"
        if payload.startswith(b"qSupported"):
            return _FEATURES
        if payload in {b"qHostInfo", b"qProcessInfo"}:
            return self._machine(process=payload == b"qProcessInfo")
        return self._xml_part(payload)

    def _xml_part(self, payload: bytes) -> bytes:
        """Return the part of the target's description that a qXfer packet requests.

        A request for anything but target.xml gets the empty reply, which means "not supported".
        """
        if not payload.startswith(b"qXfer:features:read:target.xml:"):
            return b""
        offset, size = map(_number, payload.rpartition(b":")[2].split(b","))
        text = self._description.xml().encode()
        more = b"m" if offset + size < len(text) else b"l"
        return more + text[offset : offset + size]

    def _machine(self, *, process: bool) -> bytes:
        triple = self._description.triple.encode().hex()
        text = f"triple:{triple};ostype:macosx;vendor:apple;endian:little;ptrsize:8;"
        return (("pid:1;" if process else "") + text).encode()

    def _go(self, payload: bytes) -> bool:
        """Resume the kernel, or step one instruction; always return True: the session continues.

        The stop is reported later. If the kernel does not resume, an error is sent.
        """
        action = payload.removeprefix(b"vCont;")[:1]
        try:
            if action in {b"s", b"S"}:
                self._arm_step()
            self._values = None
            self._client.resume()
        except KdpTerminated:
            raise
        except DebugError as error:
            _LOG.warning("the kernel does not continue: %s", error.message)
            self._link.send(_BAD)
        return True

    def _arm_step(self) -> None:
        if self._client.target.cpu_type != CPU_TYPE_X86_64:
            raise DebugError("KDP steps x86_64 kernels only; set a breakpoint and continue")
        values = self._registers()
        self._set_registers({**values, "rflags": values["rflags"] | _TRAP_FLAG})

    def _registers(self) -> dict[str, int]:
        if self._values is None:
            self._values = self._client.read_registers()
        return self._values

    def _set_registers(self, values: dict[str, int]) -> None:
        self._values = None
        self._client.write_registers(values)

    def _read_all(self, _rest: bytes) -> bytes:
        return self._description.all_hex(self._registers())

    def _write_all(self, rest: bytes) -> bytes:
        values = self._registers()
        self._set_registers(self._description.from_hex(rest, values))
        return b"OK"

    def _read_one(self, rest: bytes) -> bytes:
        register = self._description.registers[_number(rest.partition(b";")[0])]
        return self._description.hex_of(register, self._registers())

    def _write_one(self, rest: bytes) -> bytes:
        number, _, digits = rest.partition(b";")[0].partition(b"=")
        register = self._description.registers[_number(number)]
        values = self._registers()
        if register.kdp not in values:
            return _BAD
        value = int.from_bytes(bytes.fromhex(digits.decode()), "little")
        self._set_registers({**values, register.kdp: value})
        return b"OK"

    def _read_memory(self, rest: bytes) -> bytes:
        address, size = map(_number, rest.split(b","))
        # XNU returns its own breakpoint instructions, and debuggers expect the code below them.
        data = bytearray(self._client.read_memory(address, size))
        for where, was in self._breakpoints.items():
            for position, byte in enumerate(was, start=where - address):
                if 0 <= position < size:
                    data[position] = byte
        return data.hex().encode()

    def _write_hex(self, rest: bytes) -> bytes:
        where, _, digits = rest.partition(b":")
        return self._write_memory(where, bytes.fromhex(digits.decode()))

    def _write_binary(self, rest: bytes) -> bytes:
        where, _, data = rest.partition(b":")
        return self._write_memory(where, data)

    def _write_memory(self, where: bytes, data: bytes) -> bytes:
        address, size = map(_number, where.split(b","))
        if size != len(data):
            return _BAD
        self._client.write_memory(address, data)
        return b"OK"

    def _insert(self, rest: bytes) -> bytes:
        kind, address = rest.split(b",")[:2]
        # KDP has one sort of breakpoint, for the debugger's software and hardware ones, and no
        # watchpoints.
        if kind not in {b"0", b"1"}:
            return b""
        where = _number(address)
        if where not in self._breakpoints:
            # Afterwards the kernel shows its own instruction there.
            was = self._client.read_memory(where, _TRAP_BYTES[self._client.target.cpu_type])
            self._client.set_breakpoint(where)
            self._breakpoints[where] = was
        return b"OK"

    def _remove(self, rest: bytes) -> bytes:
        kind, address = rest.split(b",")[:2]
        if kind not in {b"0", b"1"}:
            return b""
        where = _number(address)
        if where in self._breakpoints:
            self._client.remove_breakpoint(where)
            del self._breakpoints[where]
        return b"OK"


def _number(digits: bytes) -> int:
    """Return the number that gdb-remote writes as hexadecimal digits without a sign.

    Raises: ValueError for anything else.
    """
    if not digits.isalnum():
        raise ValueError(f"no number: {digits[:40]!r}")
    return int(digits, 16)
