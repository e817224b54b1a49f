# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Parse the stacks in a kernel report's text into frames, grouped by the heading above them.

The formats are those of x86, arm64, arm, riscv, powerpc and s390, with and without addresses, as
the kernel prints them or as scripts/decode_stacktrace.sh rewrites them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from harness.panic.values import Frame, Stack

# The longest function name: KSYM_NAME_LEN is 512; before 6.1 it was 128.
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
# decode_stacktrace.sh prints the places of inlined functions before that of the function itself.
_PLACES = (
    r"\((?:[^\s()]+:\d+(?: \(discriminator \d+\))? )*(?P<place>[^\s()]+:\d+)"
    r"(?: \(discriminator \d+\))?\)"
)
_INLINE = re.compile(
    r"^\s*(?:\[<?[0-9a-f]+>?\]\s*)*" + _FUNCTION + r" (?P<place>\S+:\d+)(?P<inline> \[inline\])?$"
)
# scripts/decode_stacktrace.sh: 'f (file.c:12 (discriminator 2)) module'. Inlined functions have
# the same form.
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
    r"^(?:RIP: (?:[0-9a-f]{4}:)?|E?IP: (?:[0-9a-f]{4}:)?|pc : |PC is at |epc : )"
    + _FUNCTION
    + r" (?:(?P<inlined>\S+:\d+) \[inline\]|"
    + _PLACES
    + r"(?: (?P<module>[\w-]+))?)"
)

# After this line the frames of the report's own stack follow.
_OWN = re.compile(
    r"^\s*(?:Call [Tt]race:|Backtrace:|backtrace(?: \(crc [0-9a-f]+\))?:|stack backtrace:)"
)
# A line that names another owner of the frames after it, such as a task or an earlier event.
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
# sched_show_task(): 'task:NAME state:D ...' since 5.10, before that a line that ends in pid,
# parent and flags.
_TASK = re.compile(r"^task:\S|\s\d+\s+\d+ 0x[0-9a-f]{8}\s*$")
_ACCESS_BY = re.compile(
    r"^(?:read|write|read-write|race at).* (?:by (?:task|interrupt)|of \d+ bytes)"
)
# Lines of a report that are not frames: registers and code. None of them introduces a stack.
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
    """All stacks in a kernel report, each named by the line above it ("" for the report's own).

    `pointer` are the frames of the lines that give the program counter, such as 'RIP:'.
    """

    pointer: tuple[Frame, ...]
    stacks: tuple[Stack, ...]

    @property
    def own(self) -> tuple[Frame, ...]:
        """The frames of the report's own stack, without the frame of the program counter.

        When a warning panics at once, only the panic prints a stack, so that stack is taken. It is
        () without any.
        """
        named = (stack for stack in self.stacks if stack.name.startswith("Kernel panic"))
        unnamed = (stack for stack in self.stacks if not stack.name)
        return next((stack.frames for stack in (*unnamed, *named)), ())


def parse_frame(text: str) -> Frame | None:
    """Return the stack frame in a line of a kernel report, or None when the line has none."""
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
    """Return the caller that a line 'f from g' of an arm stack names, None for another line."""
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


# The file and line that a frame without an offset has.
_PLACED = re.compile(r"\.[chSs]:\d+|\.rs:\d+")


def _placed(text: str) -> Frame | None:
    """Return the frame of a line that gives file and line instead of an offset, or None."""
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
    """Return the frame of a line that gives the program counter, such as 'RIP:', else None."""
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


# Headers of die() and WARN(), which print the program counter before the stack.
_TRAP = re.compile(
    r" fault\b(?! page)|[uU]nable to handle|NULL pointer|^Oops|divide error|invalid opcode|^WARNING: CPU"
)
# The name of a stack that another CPU printed into the report.
_INTRUDING = "CPU: another one, which printed at the same time"


@dataclass
class _Reading:
    """The state while a kernel report is read line by line: its current and its complete stacks.

    `name` is the line above the current stack, `frames` its frames so far. `own_seen` is true once
    the report's own stack is complete. `headed` is true after a line 'Call Trace:', and `of_trap`
    for a report of a trap such as a page fault.
    """

    name: str = ""
    frames: list[Frame] = field(default_factory=list)
    done: list[Stack] = field(default_factory=list)
    pointer: list[Frame] = field(default_factory=list)
    count: int = 0
    own_seen: bool = False
    headed: bool = False
    of_trap: bool = False
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

    def disown(self) -> None:
        """Count the frames read so far, and those up to 'Call Trace:', as another CPU's stack.

        A trap prints its program counter before its stack. So frames before the program counter
        are those of a CPU that printed into the report at the same time.
        """
        if not self.frames and not self.own_seen:
            return
        self.close()
        self.done = [one if one.name else replace(one, name=_INTRUDING) for one in self.done]
        self.name, self.own_seen = _INTRUDING, False

    def add(self, frame: Frame, caller: Frame | None = None) -> None:
        """Add a frame to the stack being read; `caller` is the next, if the line names it, too."""
        if self.caller is not None and self.caller.function != frame.function:
            self._add_caller()
        self.caller = caller
        if self.count < _MOST_FRAMES:
            self.frames.append(frame)
            self.count += 1

    def _add_caller(self) -> None:
        """Add the caller that an arm stack's last line names, if it had no line of its own."""
        if self.caller is not None and self.count < _MOST_FRAMES:
            self.frames.append(self.caller)
            self.count += 1
        self.caller = None


def read(lines: Sequence[str]) -> Traces:
    """Return every stack in the lines of a kernel report.

    A stack ends at the line that introduces the next. The first line is the report's header, which
    has no frame. The report's own stack has the name "". A program counter within a stack is a
    frame of that stack, where an interrupt interrupted it. One before the first stack is where the
    fault happened.
    """
    reading = _Reading(of_trap=bool(lines) and _TRAP.search(lines[0]) is not None)
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
    """Return the frame of each line that gives a program counter, such as 'RIP:'."""
    return tuple(frame for text in lines if (frame := parse_where(text)) is not None)


def _heading(reading: _Reading, text: str) -> None:
    """Read a line of a kernel report that is no frame; it may introduce the next stack."""
    if text.startswith(_MEMORY):
        return
    # Blanks are stripped first, because on a line of a thousand blanks a pattern would be tried
    # from each of them.
    text = text.strip()
    own = _OWN.match(text) is not None
    reading.headed = reading.headed or own
    if _OTHERS.match(text) is not None:
        reading.introduce(text)
    elif _OTHER_CPU.match(text) is not None:
        _another_cpu(reading, text)
    elif _TASK.search(text) is not None:
        _a_task(reading, text)
    elif _ACCESS_BY.match(text) is not None:
        reading.introduce(text if reading.own_seen or reading.frames else "")
    elif own and not reading.own_seen and reading.name:
        _own_trace(reading)


def _point(reading: _Reading, where: Frame) -> None:
    """Add the frame of a line such as 'RIP:' to the stack of a kernel report that is being read.

    Before the report's own stack, the first such frame, with those inlined into it, is kept as the
    place where the fault happened. A repetition is ignored.
    """
    last = reading.pointer[-1] if reading.pointer else None
    if last is not None and (last.function, last.offset) == (where.function, where.offset):
        return
    open_trap = last is None or last.inline
    if last is None and reading.of_trap and not reading.headed:
        reading.disown()
    if reading.frames:
        reading.add(where)
    elif open_trap and reading.name in {"", _INTRUDING} and not reading.own_seen:
        reading.pointer.append(where)


def _another_cpu(reading: _Reading, text: str) -> None:
    """Begin a stack of a kernel report at a line such as 'NMI backtrace for cpu 1'.

    It may be the report's own stack, if that was not read before.
    """
    if reading.frames:
        reading.introduce(text if reading.own_seen or not reading.name else "")
    elif reading.own_seen and not reading.name:
        reading.name = text
    elif reading.name.startswith("Preemption disabled"):
        reading.introduce("")


def _a_task(reading: _Reading, text: str) -> None:
    """Begin a stack of a kernel report at a line such as 'task:NAME state:D'.

    The first task's stack is the report's own.
    """
    if reading.frames or "RCU grace" not in reading.name:
        reading.introduce(
            text if reading.own_seen or (reading.frames and not reading.name) else ""
        )


def _own_trace(reading: _Reading) -> None:
    """Begin a kernel report's own stack at a line 'Call Trace:'.

    If the line belongs to the task or CPU that the line above the current stack names, this does
    nothing.
    """
    if reading.frames or reading.name == _INTRUDING or not _HAS_TRACE.match(reading.name):
        reading.introduce("")


# After these headings a 'Call Trace:' belongs to the heading. After other headings, frames follow
# at once.
_HAS_TRACE = re.compile(r"task|(?:rcu: )?RCU grace|Kernel panic|NMI|CPU|.* 0x[0-9a-f]{8}$")
