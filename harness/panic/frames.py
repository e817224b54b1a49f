# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Stacks in the text of a report: lines to frames, grouped by the line that introduces them.

Formats of x86, arm64, arm, riscv, powerpc and s390, with and without addresses, as the kernel
prints them or as scripts/decode_stacktrace.sh leaves them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.panic.values import Frame, Stack

# KSYM_NAME_LEN is 512; before 6.1 it was 128.
_FUNCTION = r"(?P<function>[A-Za-z_.$][\w.$]{0,511})"
_OFFSET = r"\+(?P<offset>0x[0-9a-f]+)(?:/(?P<size>0x[0-9a-f]+))?"
_TAIL = (
    r"(?: \(?(?P<flags>\((?:[A-Z]+|unreliable)\)))?"
    r"(?:\s+\[(?P<module>[\w-]+)(?: [0-9a-f]{20,})?\])?(?:\s+(?P<place>[^\s()]+:\d+))?"
)
_FRAME = re.compile(
    r"^\s*(?:<[A-Z]+>\s+)?(?:\(?\[<?[0-9a-f]{8,16}>?\]\)?\s*|[0-9a-f]{16}\s+)*(?:\[[0-9a-f]{16}\]\s*)*"
    r"(?P<unsure>\(?\?\s*\)?\s*)?\(?" + _FUNCTION + _OFFSET + r"\)?" + _TAIL
)
# decode_stacktrace.sh gives every inlined place before the function's own.
_PLACES = (
    r"\((?:[^\s()]+:\d+(?: \(discriminator \d+\))? )*(?P<place>[^\s()]+:\d+)"
    r"(?: \(discriminator \d+\))?\)"
)
_INLINE = re.compile(
    r"^\s*(?:\[<?[0-9a-f]+>?\]\s*)*" + _FUNCTION + r" (?P<place>\S+:\d+)(?P<inline> \[inline\])?$"
)
# scripts/decode_stacktrace.sh: 'f (file.c:12 (discriminator 2)) module'; an inlined one has the same look.
_DECODED = re.compile(
    r"^\s*(?P<unsure>\? )?" + _FUNCTION + " " + _PLACES + r"(?: (?P<module>[\w-]+))?$"
)
_ARM = re.compile(
    r"^\s*(?:(?:\[<[0-9a-f]+>\] )?\("
    + _FUNCTION
    + r"(?:\+0x[0-9a-f]+/0x[0-9a-f]+)?(?: \[(?P<module>\w+)\])?\) from |"
    r"(?P<plain>[A-Za-z_][\w.]{0,511})(?: \[(?P<owner>\w+)\])? from (?=[A-Za-z_][\w.]{0,511}\+0x))"
)
_ARM_CALLER = re.compile(
    r"(?:\[<[0-9a-f]+>\] )?\(?" + _FUNCTION + _OFFSET + r"(?: \[(?P<module>\w+)\])?"
)
_WHERE = re.compile(
    r"(?:\bRIP[: ]\s*(?:[0-9a-f]{4}:)?|\bE?IP(?: is at|:)\s*(?:[0-9a-f]{4}:)?|"
    r"^\s*pc : |\bPC is at |^\s*epc\s*: |^NIP |\(|\bpc\s*=\s*|^TPC: <|^\s*ERA: [0-9a-f]+ )\s*"
    r"(?:\[<?[0-9a-f]*>?\]\s*)*(?:(?:[0-9a-f]{8}){1,2}\s+)?" + _FUNCTION + _OFFSET + _TAIL
)
_WHERE_STARTS = (
    "RIP:",
    "RIP ",
    "IP:",
    "IP ",
    "EIP:",
    "EIP ",
    "pc : ",
    "PC is at ",
    "epc",
    "NIP ",
    "Krnl PSW",
    "TPC: <",
    "ERA: ",
)
_WHERE_NAMED = re.compile(
    r"^(?:RIP: [0-9a-f]{4}:|pc : )"
    + _FUNCTION
    + r" (?:(?P<inlined>\S+:\d+) \[inline\]|"
    + _PLACES
    + r"(?: (?P<module>[\w-]+))?)"
)

# A line that says that the next frames are the report's own.
_OWN = re.compile(
    r"^\s*(?:Call [Tt]race:|Backtrace:|backtrace(?: \(crc [0-9a-f]+\))?:|stack backtrace:)"
)
# A line that says whose the next frames are, because they are not where the report was made.
_OTHERS = re.compile(
    r"^(?:rcu: )?(?:Allocated(?: by task| in |:)|Freed(?: by| in |:)|INFO: (?:Allocated|Freed) in|"
    r"allocated by task|freed by task|page last (?:allocated|free)|"
    r"Last potentially related work|Second to last potentially|"
    r"Uninit was (?:created|stored)|Local variable|Preemption disabled at:\s*$|"
    r"-> #\d+|the existing dependency chain|the dependencies between|.*\bat:\s*$|stack depot |"
    r"RCU grace-period kthread stack dump|Showing all locks|Mem-Info|"
    r"task\s+PC stack|Kernel panic - not syncing)"
)
_OTHER_CPU = re.compile(r"^\s*(?:NMI backtrace for cpu \d+|CPU: \d+ (?:UID: \d+ )?PID: )")
# sched_show_task(): 'task:NAME state:D ...' since 5.10, before that a line that ends in pid, parent and flags.
_TASK = re.compile(r"^task:\S|\s\d+\s+\d+ 0x[0-9a-f]{8}\s*$")
_ACCESS_BY = re.compile(
    r"^(?:read|write|read-write|race at).* (?:by (?:task|interrupt)|of \d+ bytes)"
)
# Most lines of a report that are no frames: registers and code. They head nothing.
_MEMORY = (
    "RAX:",
    "RDX:",
    "RBP:",
    "R10:",
    "R13:",
    "RSP:",
    "FS:",
    "CS:",
    "CR2:",
    "DR0:",
    "DR3:",
    "Code:",
    "Modules",
    "x",
)
_MOST_FRAMES = 400


@dataclass(frozen=True, kw_only=True)
class Traces:
    """What a report's text holds of stacks: where the trap was, its own stack, and every other."""

    pointer: tuple[Frame, ...]
    stacks: tuple[Stack, ...]

    @property
    def own(self) -> tuple[Frame, ...]:
        """The frames of the stack on which the report was made, without the pointer.

        A warning that panics at once has none before the panic's: it is the same one.
        """
        named = (stack for stack in self.stacks if stack.name.startswith("Kernel panic"))
        unnamed = (stack for stack in self.stacks if not stack.name)
        return next((stack.frames for stack in (*unnamed, *named)), ())


def parse_frame(text: str) -> Frame | None:
    """Return the frame that a line is, or None."""
    found = _ARM.match(text) if " from " in text else None
    if found is not None:
        return Frame(
            function=found["function"] or found["plain"],
            module=found["module"] or found["owner"] or "",
        )
    found = _FRAME.match(text) if "+0x" in text else None
    if found is not None:
        unsure = found["unsure"] is not None or "unreliable" in (found["flags"] or "")
        return _frame(found, reliable=not unsure)
    return _placed(text) if _PLACED.search(text) is not None else None


def _arm_caller(text: str) -> Frame | None:
    """Return the caller that a line of an arm stack names behind 'from'."""
    _, word, rest = text.partition(" from ")
    found = _ARM_CALLER.match(rest) if word and _ARM.match(text) is not None else None
    if found is None:
        return None
    return Frame(
        function=found["function"],
        offset=int(found["offset"], 16),
        size=int(found["size"], 16) if found["size"] else 0,
        module=found["module"] or "",
    )


# A place in a source: what a frame without an offset must have.
_PLACED = re.compile(r"\.[chSs]:\d+|\.rs:\d+")


def _placed(text: str) -> Frame | None:
    """Return the frame of a line that gives a place and no offset, or None."""
    found = _INLINE.match(text)
    if found is not None:
        return Frame(
            function=found["function"], place=found["place"], inline=found["inline"] is not None
        )
    found = _DECODED.match(text)
    if found is None:
        return None
    return Frame(
        function=found["function"],
        place=found["place"],
        module=found["module"] or "",
        reliable=found["unsure"] is None,
    )


def parse_where(text: str) -> Frame | None:
    """Return the function of a line that gives the program counter, or None."""
    if not text.lstrip().startswith(_WHERE_STARTS):
        return None
    found = _WHERE_NAMED.match(text)
    if found is not None:
        return Frame(
            function=found["function"],
            place=found["inlined"] or found["place"],
            module=found["module"] or "",
            inline=found["inlined"] is not None,
        )
    found = _WHERE.search(text)
    return _frame(found, reliable=True) if found is not None else None


def _frame(found: re.Match[str], *, reliable: bool) -> Frame:
    return Frame(
        function=found["function"],
        offset=int(found["offset"], 16),
        size=int(found["size"], 16) if found["size"] else 0,
        module=found["module"] or "",
        place=found["place"] or "",
        reliable=reliable,
    )


@dataclass
class _Reading:
    """The state of going through a report line by line."""

    name: str = ""
    frames: list[Frame] = field(default_factory=list)
    done: list[Stack] = field(default_factory=list)
    pointer: list[Frame] = field(default_factory=list)
    count: int = 0
    own_seen: bool = False
    caller: Frame | None = None

    def close(self) -> None:
        self._add_caller()
        if not self.frames:
            return
        self.done.append(Stack(name=self.name, frames=tuple(self.frames)))
        self.own_seen = self.own_seen or not self.name
        self.frames = []

    def introduce(self, name: str) -> None:
        self.close()
        self.name = name

    def add(self, frame: Frame, caller: Frame | None = None) -> None:
        """Take the next frame; `caller` is what its line says of the one after it."""
        if self.caller is not None and self.caller.function != frame.function:
            self._add_caller()
        self.caller = caller
        if self.count < _MOST_FRAMES:
            self.frames.append(frame)
            self.count += 1

    def _add_caller(self) -> None:
        """Add the caller that the last line of an arm stack names: no line of its own follows."""
        if self.caller is not None and self.count < _MOST_FRAMES:
            self.frames.append(self.caller)
            self.count += 1
        self.caller = None


def read(lines: Sequence[str]) -> Traces:
    """Return every stack of a report; a stack ends where another line introduces the next.

    The report's own has no name. A program counter inside of a stack is a frame of it (what an
    interrupt interrupted); one before the first stack, or alone, is where the trap was.
    """
    reading = _Reading()
    for text in lines[1:]:
        where = parse_where(text)
        if where is not None:
            _point(reading, where)
            continue
        frame = parse_frame(text)
        if frame is not None:
            reading.add(frame, _arm_caller(text))
        else:
            _heading(reading, text)
    reading.close()
    return Traces(pointer=tuple(reading.pointer), stacks=tuple(reading.done))


def where(lines: Sequence[str]) -> tuple[Frame, ...]:
    """Return every frame that is given by a program counter, not by a return address."""
    return tuple(frame for text in lines if (frame := parse_where(text)) is not None)


def _heading(reading: _Reading, text: str) -> None:
    """Take a line that is no frame: it may say whose the next frames are."""
    if text.startswith(_MEMORY):
        return
    # Without its margins: a line of a thousand blanks would be tried from each of them.
    text = text.strip()
    if _OTHERS.match(text) is not None:
        reading.introduce(text)
    elif _OTHER_CPU.match(text) is not None:
        _another_cpu(reading, text)
    elif _TASK.search(text) is not None:
        _a_task(reading, text)
    elif _ACCESS_BY.match(text) is not None:
        reading.introduce(text if reading.own_seen or reading.frames else "")
    elif _OWN.match(text) is not None and not reading.own_seen and reading.name:
        _own_trace(reading)


def _point(reading: _Reading, where: Frame) -> None:
    """Take a program counter: into the stack that it interrupts, or as the trap's own place."""
    last = reading.pointer[-1] if reading.pointer else None
    if last is not None and (last.function, last.offset) == (where.function, where.offset):
        return
    open_trap = last is None or last.inline
    if reading.frames:
        reading.add(where)
    elif open_trap and not reading.name and not reading.own_seen:
        reading.pointer.append(where)


def _another_cpu(reading: _Reading, text: str) -> None:
    """A CPU's heading names the next stack, unless it heads what is already named or the first."""
    if reading.frames:
        reading.introduce(text if reading.own_seen or not reading.name else "")
    elif reading.own_seen and not reading.name:
        reading.name = text
    elif reading.name.startswith("Preemption disabled"):
        reading.introduce("")


def _a_task(reading: _Reading, text: str) -> None:
    """The first task that a report shows is whom it is about, every other has a name."""
    if reading.frames or "RCU grace" not in reading.name:
        reading.introduce(
            text if reading.own_seen or (reading.frames and not reading.name) else ""
        )


def _own_trace(reading: _Reading) -> None:
    """'Call Trace:' under a heading that has its frames already, or never has any, is our own."""
    if reading.frames or not _HAS_TRACE.match(reading.name):
        reading.introduce("")


# These are followed by a 'Call Trace:' of theirs; after every other heading frames come at once.
_HAS_TRACE = re.compile(r"task|(?:rcu: )?RCU grace|Kernel panic|NMI|CPU|.* 0x[0-9a-f]{8}$")
