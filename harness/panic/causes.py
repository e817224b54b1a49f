# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Decide which kernel report of a log is a consequence of an earlier report.

A report is what the kernel prints about one fault, such as an oops. A kernel's last report is
seldom its first fault. A task that dies leaves its locks held and its preempt count raised;
several watchdogs report one CPU that hangs; a panic names its reason. `related` points each report
to the earlier report that explains it. For hung tasks it compares when the hangs began, because
the watchdog with the shorter limit reports first.
"""

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.panic.tables.header import Header
from harness.panic.values import KernelReport

# The kernel kills the task that causes one of these (arch/*/kernel: die() and make_task_dead()).
DEADLY = frozenset(
    {
        "null-deref",
        "page-fault",
        "general-protection",
        "stack-segment",
        "divide-error",
        "invalid-opcode",
        "int3",
        "unhandled-fault",
        "alignment",
        "oops",
        "internal-error",
        "bug",
        "list-corruption",
        "usercopy",
        "fortify",
        "stack-overflow",
        "double-fault",
        "rust-panic",
        "serror",
    }
)
# The task survives these reports. A second fault of the same task has the same cause.
_CHECKED = frozenset(
    {"kasan", "kfence", "kmsan", "ubsan", "refcount", "list-corruption", "bad-state", "usercopy"}
)
_WARNED = frozenset({"warning", "kcsan", "lockdep", "rcu-usage", "spinlock", "atomic-sleep"})
_STUCK = frozenset({"soft-lockup", "hard-lockup", "rcu-stall", "workqueue-lockup", "hung-task"})
# What a report explains in every task and on every CPU. A task that sleeps with a spinlock held lets
# all others spin that want the lock. Memory that one task has taken is missing to all others.
_OF_THE_WHOLE_KERNEL = {
    "soft-lockup": frozenset({"atomic-sleep"}),
    "hard-lockup": frozenset({"atomic-sleep"}),
    "rcu-stall": frozenset({"atomic-sleep"}),
    "oom": frozenset({"page-allocation-failure", "oom"}),
    "page-allocation-failure": frozenset({"page-allocation-failure"}),
}
_LEFT_BEHIND = frozenset({"atomic-sleep", "atomic-leak", "lockdep", "warning", "preempt-misuse"})

# The reason in a panic's text, and the kinds of report that can end in such a panic.
_REASONS = (
    (re.compile(r"Fatal exception|Oops|Attempted to kill|Aiee"), DEADLY | {"stack-overflow"}),
    (
        re.compile(r"panic_on_warn|(?:KASAN|KCSAN|KMSAN|KFENCE|UBSAN):|\.fault="),
        _CHECKED | _WARNED | DEADLY,
    ),
    (re.compile(r"softlockup"), frozenset({"soft-lockup"})),
    (re.compile(r"[Hh]ard ?LOCKUP|hardlockup|hard lockup"), frozenset({"hard-lockup"})),
    (re.compile(r"hung_task"), frozenset({"hung-task"})),
    (re.compile(r"RCU Stall"), frozenset({"rcu-stall"})),
    (re.compile(r"[Oo]ut of memory|deadlocked on memory"), frozenset({"oom"})),
    (re.compile(r"scheduling while atomic"), frozenset({"atomic-sleep"})),
    (
        re.compile(r"[Mm]achine [Cc]heck|Hardware Error|Unable to continue"),
        frozenset({"machine-check"}),
    ),
    (re.compile(r"[Ss]tack overflow|stack guard"), frozenset({"stack-overflow"})),
    (re.compile(r"SError"), frozenset({"serror"})),
)
# The second line of a report of one kind looks like the first line of a report of another kind.
_SECOND_LINES = frozenset({"oops", "invalid-opcode", "internal-error", "double-fault"})
# For some faults the kernel prints one line with the reason before the header with the stack.
_PRELUDES: dict[str, frozenset[str]] = {
    "refcount": frozenset({"warning"}),
    "list-corruption": frozenset({"bug", "warning"}),
    "usercopy": frozenset({"bug", "warning"}),
    "alignment": frozenset({"unhandled-fault"}),
    "fortify": frozenset({"bug", "warning"}),
    "kmemleak": frozenset({"kmemleak"}),
    "spinlock": frozenset({"warning"}),
    "warning": frozenset({"refcount", "usercopy", "list-corruption", "hard-lockup"}),
}
# The duration of the hang in the watchdog's text, counted from the last sign of life.
_BLOCKED = re.compile(r"^INFO: task .* blocked for more than (?P<seconds>\d+) seconds")
_SPINNING = re.compile(r"soft lockup - CPU#\d+ stuck for (?P<seconds>\d+)s!")
# A report explains those of other tasks for so long: watchdogs have limits of 20 s to 2 minutes.
_SOON_S = 300.0
# The header with the stack follows its reason within this number of lines.
_PRELUDE_LINES = 4
_SECOND_LINES_WITHIN = 60
# A consequence follows soon; without a bound each report would be compared with all earlier ones.
_MOST_REMEMBERED = 16
_MOST_TITLE = 120
# Lines of headers of functions that the compiler put into one another, and what no header has.
_MOST_INLINED = 24
_PLACE = re.compile(r"\.[chS]:\d+|\.rs:\d+")
_OFFSET = re.compile(r"\+0x[0-9a-f]+/0x")
_BODY = ("Read of", "Write of", "CPU: ", "Modules linked", "Call Trace", "RIP: ")


def goes_on(kind: str, hit: tuple[Header, re.Match[str]], text: Sequence[str]) -> bool:
    """Return whether a header-like line in a log is part of the kernel report being read.

    `kind` and `text` are the kind and the lines so far of that report; `hit` is the header with
    its match.
    """
    header, matched = hit
    lines = len(text)
    if header.inner or (header.kind == kind and names_inlined(text)):
        return True
    if header.kind in _SECOND_LINES and kind in DEADLY | _CHECKED | _WARNED:
        return lines < _SECOND_LINES_WITHIN
    if matched.string.startswith("Kernel panic"):
        return kind == "panic" or kind in _reasons(matched.string)
    # The kernel repeats this line every ten seconds while a network device cannot be freed.
    if header.kind == kind == "refleak":
        return True
    return lines < _PRELUDE_LINES and header.kind in _PRELUDES.get(kind, ())


def names_inlined(text: Sequence[str]) -> bool:
    """Return whether a kernel report's lines so far are only headers that name inlined functions.

    A tool that adds files and lines repeats the header for each inlined function. Only the last of
    these headers has an offset. In a mail, a header may be wrapped into several lines.
    """
    if len(text) > _MOST_INLINED or not _PLACE.search(" ".join(text[:2])):
        return False
    return not any(_OFFSET.search(line) or line.startswith(_BODY) for line in text)


def _reasons(panic: str) -> frozenset[str]:
    """Return the kinds of kernel report that can have caused a 'Kernel panic' of this text."""
    return next((kinds for words, kinds in _REASONS if words.search(panic)), frozenset())


def related(reports: Iterable[KernelReport]) -> tuple[KernelReport, ...]:
    """Return a log's reports in order, each with `follows`: the line of the one that explains it.

    It is None for a report that no other explains. A report follows the nearest earlier report of
    the same boot that explains it. The report of a hung task follows a lockup that began before
    the task hung, even if the lockup was reported later: a task that waits for work on every CPU
    hangs as soon as one CPU hangs.
    """
    earlier: deque[KernelReport] = deque(maxlen=_MOST_REMEMBERED)
    pointing: list[KernelReport] = []
    for report in sorted(reports, key=lambda one: one.line):
        cause = next((one for one in reversed(earlier) if _explains(one, report)), None)
        earlier.append(report)
        pointing.append(report if cause is None else _as_consequence(report, cause.line))
    lockups = [
        (began, one)
        for one in pointing
        if one.follows is None and (began := _began(_SPINNING, one)) is not None
    ]
    return tuple(_after_lockup(one, lockups) for one in pointing)


def main_report(reports: Sequence[KernelReport]) -> KernelReport | None:
    """Return the kernel report that names a crash: the first that follows from no other one.

    If there is none, the result is the first of all reports, or None without any report.
    """
    own = (one for one in reports if one.follows is None)
    return next(own, next(iter(reports), None))


def _as_consequence(report: KernelReport, cause: int) -> KernelReport:
    """Return a kernel report, marked as a consequence of the report at line `cause`.

    The panic with which a watchdog ends the kernel gets the kind 'panic' instead of the
    watchdog's.
    """
    first = report.text[0]
    if not first.startswith("Kernel panic") or report.kind == "panic":
        return replace(report, follows=cause)
    words = first.partition("not syncing")[2].lstrip(": ")
    title = f"kernel panic: {words}" + (f" in {report.function}" if report.function else "")
    return replace(report, follows=cause, kind="panic", title=title[:_MOST_TITLE])


def _explains(earlier: KernelReport, later: KernelReport) -> bool:
    if earlier.boot != later.boot or "canary" in {earlier.kind, later.kind}:
        return False
    if later.text[0].startswith("Kernel panic"):
        return earlier.kind in _reasons(later.text[0])
    same_task = later.pid is not None and (earlier.pid, earlier.task) == (later.pid, later.task)
    same_cpu = later.cpu is not None and earlier.cpu == later.cpu
    if earlier.kind in _OF_THE_WHOLE_KERNEL.get(later.kind, ()):
        return _seconds_between(earlier, later) < _SOON_S
    if later.kind in _STUCK:
        again = earlier.kind in _STUCK and (same_task or same_cpu)
        return again or earlier.kind in DEADLY
    return same_task and later.kind in _consequences(earlier.kind)


def _seconds_between(earlier: KernelReport, later: KernelReport) -> float:
    """Return the seconds between two reports by the kernel's clock, 0 if one has no time."""
    return 0.0 if earlier.at is None or later.at is None else later.at - earlier.at


def _consequences(kind: str) -> frozenset[str]:
    """Return the kinds of kernel report that a task makes because of an earlier one of `kind`.

    A task that oopsed, for example, leaves locks held.
    """
    if kind in DEADLY:
        return DEADLY | _CHECKED | _LEFT_BEHIND
    if kind in _CHECKED:
        return DEADLY | _CHECKED
    return frozenset({kind}) & {"atomic-sleep"}


def _after_lockup(
    report: KernelReport, lockups: Sequence[tuple[float, KernelReport]]
) -> KernelReport:
    """Return a hung task's report, set to follow a lockup that began before the task hung.

    `lockups` are pairs of the time at which a lockup began and its report. The report is returned
    unchanged when it is not about a hung task, follows another one already, or no such lockup
    exists.
    """
    hung = _began(_BLOCKED, report)
    if hung is None or report.follows is not None:
        return report
    for began, one in lockups:
        there = one.boot == report.boot and began <= hung <= (one.at or 0.0)
        if there and one.pid != report.pid:
            return replace(report, follows=one.line)
    return report


def _began(words: re.Pattern[str], report: KernelReport) -> float | None:
    """Return the latest time, on the kernel's clock, at which a reported hang can have begun.

    `words` finds the seconds of the hang in the report's first line. None means that the report
    has no time, or that `words` does not match.
    """
    patience = words.search(report.text[0]) if report.text else None
    return report.at - float(patience["seconds"]) if patience and report.at is not None else None
