# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Turn the list of tasks that a hanging kernel prints into one report of the task that hangs.

The text is the output of sysrq w, l and t, or of an NMI. A task whose stack leads through the
module under test is chosen before others: first one in uninterruptible sleep, then one on a CPU,
then one that sleeps in a system call. A thread of the module that waits for its next work is no
hang.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.panic import frames, guilty, hangs
from harness.panic.intake.lines import clean, kernel_text
from harness.panic.values import Frame, KernelReport, Stack

# The format of sched_show_task() in kernel/sched/core.c; before 5.14 the name was padded, with the
# state after it.
_TASK = re.compile(
    r"^task:(?P<task>.{1,16}?)\s+state:(?P<state>\S)\s.*?\bpid:\s*(?P<pid>\d+)|"
    r"^(?P<old>\S+)\s+(?P<old_state>[A-Z])\s+\d+\s+(?P<old_pid>\d+)\s+\d+ 0x"
)
_CPU = re.compile(r"\bCPU: (?P<cpu>\d+) (?:UID: \d+ )?PID: (?P<pid>\d+) Comm: (?P<task>.+?) ")
# The state of a task that waits without end, of one on a CPU; all others sleep.
_ORDER = {"D": 0, "R": 1}
_IN_SYSTEM_CALL = re.compile(r"syscall|system_call|el0_svc")
_SECTION = re.compile(
    r"^(?:NMI backtrace for cpu|sysrq: |Sending NMI|Sched Debug Version|Showing (?:all|busy) )"
)


@dataclass(frozen=True, kw_only=True)
class _Standing:
    """One task in a hanging kernel's printed list, with its state and its stack's lines."""

    task: str
    pid: int
    state: str
    lines: tuple[str, ...]

    @property
    def frames(self) -> tuple[Frame, ...]:
        traces = frames.read(self.lines)
        # The instruction pointer is where the task is. A frame with '?' may be left over from an
        # older call, and would charge the module with a hang that it did not cause.
        return (*traces.pointer, *(frame for frame in traces.own if frame.reliable))

    @property
    def rests(self) -> bool:
        """Whether the task only waits for its next work, as an idle kernel thread does."""
        asked = any(_IN_SYSTEM_CALL.search(frame.function) for frame in self.frames)
        return self.state not in _ORDER and not asked


def blocked(text: Sequence[str], modules: Sequence[str]) -> KernelReport | None:
    """Return a report of kind 'hang' about the task that hangs, None when none of them does.

    `text` is the list of tasks that the kernel printed, and `modules` are the names of the modules
    under test; a task in one of them is preferred. A task that is listed twice counts once.
    """
    listed: dict[int, _Standing] = {}
    for one in _tasks(text):
        # The first listing is the oldest, so it is the nearest to the moment of the hang. A listing
        # without a stack says nothing.
        if one.frames:
            listed.setdefault(one.pid, one)
    found = sorted((one for one in listed.values() if not one.rests), key=_urgency)
    guilty_ones = [(one, frame) for one in found if (frame := _of(one, modules)) is not None]
    # Outside of the module, a task that sleeps in a system call is nothing unusual.
    unusual = [one for one in found if one.state in _ORDER]
    if guilty_ones:
        chosen, frame = guilty_ones[0]
    elif unusual:
        chosen = unusual[0]
        frame = hangs.sleeper(chosen.frames) or chosen.frames[0]
    else:
        return None
    others = [one for one in unusual if one is not chosen]
    return KernelReport(
        kind="hang",
        title=f"task hangs in {guilty.bare(frame.function)}",
        # The harness asked for this text, so it has no place in the console that led to the report.
        line=0,
        text=tuple(line for one in (chosen, *others) for line in one.lines),
        function=guilty.bare(frame.function),
        module=frame.module,
        place=frame.place,
        task=chosen.task,
        pid=chosen.pid,
        stacks=tuple(
            Stack(name="" if one is chosen else f"{one.task}:{one.pid}", frames=one.frames)
            for one in (chosen, *others)
        ),
    )


def _urgency(one: _Standing) -> int:
    return _ORDER.get(one.state, len(_ORDER))


def _of(one: _Standing, modules: Sequence[str]) -> Frame | None:
    return next((frame for frame in one.frames if frame.module in modules), None)


def _tasks(text: Sequence[str]) -> list[_Standing]:
    found: list[_Standing] = []
    task, pid, state = "", 0, ""
    lines: list[str] = []
    for raw in text:
        line = kernel_text(clean(raw))
        if line is None:
            continue
        head = _TASK.match(line) or _CPU.search(line)
        if head is not None or _SECTION.match(line):
            if lines:
                found.append(_Standing(task=task, pid=pid, state=state, lines=tuple(lines)))
            task, pid, state = _named(head)
            lines = [line] if head is not None else []
        elif lines:
            lines.append(line)
    if lines:
        found.append(_Standing(task=task, pid=pid, state=state, lines=tuple(lines)))
    return found


def _named(head: re.Match[str] | None) -> tuple[str, int, str]:
    if head is None:
        return "", 0, ""
    groups = head.groupdict()
    name = groups.get("task") or groups.get("old") or ""
    pid = groups.get("pid") or groups.get("old_pid") or "0"
    return name, int(pid), groups.get("state") or groups.get("old_state") or "R"
