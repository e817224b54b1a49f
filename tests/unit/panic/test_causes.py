# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of causes: a report points to the earlier report that explains it, and to no other."""

from dataclasses import replace

import pytest

from harness.panic import headers
from harness.panic.causes import goes_on, related
from harness.panic.scan import scan
from harness.panic.values import KernelReport


def report(
    kind: str, line: int, *, text: str = "x", pid: int | None = None, cpu: int | None = None
) -> KernelReport:
    """Return a report of a task (or none) on a CPU (or none)."""
    task = f"task{pid}" if pid is not None else ""
    return KernelReport(
        kind=kind, title=text, line=line, text=(text,), pid=pid, task=task, cpu=cpu
    )


PANIC = "Kernel panic - not syncing: "
OOPS = report("null-deref", 1, pid=12, cpu=0)
FOLLOWING = {
    "memory that a storm has taken": (
        report("page-allocation-failure", 1, pid=31),
        report("oom", 9, pid=297),
    ),
    "the next failure of the storm": (
        report("page-allocation-failure", 1, pid=31),
        report("page-allocation-failure", 9, pid=32),
    ),
    "a lock that a sleeping task holds": (
        report("atomic-sleep", 1, pid=12, cpu=0),
        report("soft-lockup", 9, pid=13, cpu=1),
    ),
    "panic after an oops": (OOPS, report("panic", 9, text=PANIC + "Fatal exception")),
    "panic in an interrupt": (
        OOPS,
        report("panic", 9, text=PANIC + "Fatal exception in interrupt"),
    ),
    "init died of it": (
        OOPS,
        report("panic", 9, text=PANIC + "Attempted to kill init! exitcode=0x9"),
    ),
    "a warning that panics": (
        report("warning", 1),
        report("panic", 9, text=PANIC + "kernel: panic_on_warn set ..."),
    ),
    "a lockup that panics": (
        report("soft-lockup", 1),
        report("panic", 9, text=PANIC + "softlockup: hung tasks"),
    ),
    "a hung task that panics": (
        report("hung-task", 1),
        report("panic", 9, text=PANIC + "hung_task: blocked tasks"),
    ),
    "the same task dies twice": (OOPS, report("general-protection", 9, pid=12)),
    "the dead task's count": (OOPS, report("atomic-sleep", 9, pid=12)),
    "the dead task's locks": (OOPS, report("lockdep", 9, pid=12)),
    "others wait for the dead": (OOPS, report("soft-lockup", 9, pid=13, cpu=1)),
    "and stall": (OOPS, report("rcu-stall", 9, cpu=1)),
    "and hang": (OOPS, report("hung-task", 9, pid=14)),
    "a second watchdog": (
        report("soft-lockup", 1, pid=5, cpu=2),
        report("rcu-stall", 9, cpu=2),
    ),
    "kasan saw it come": (report("kasan", 1, pid=12), report("general-protection", 9, pid=12)),
    "a count that was never put back": (
        report("atomic-sleep", 1, pid=12),
        report("atomic-sleep", 9, pid=12),
    ),
}
UNRELATED = {
    "another task's oops": (OOPS, report("null-deref", 9, pid=13, cpu=0)),
    "another task's warning": (OOPS, report("warning", 9, pid=13, cpu=0)),
    "another cpu's lockup": (
        report("soft-lockup", 1, pid=5, cpu=2),
        report("soft-lockup", 9, pid=6, cpu=3),
    ),
    "a panic for a reason of its own": (
        OOPS,
        report("panic", 9, text=PANIC + "sysrq triggered crash"),
    ),
    "a panic for another reason": (
        report("warning", 1),
        report("panic", 9, text=PANIC + "Fatal exception"),
    ),
    "two warnings": (report("warning", 1, pid=12), report("warning", 9, pid=12)),
    "what the harness planted": (report("canary", 1), report("rcu-stall", 9)),
}


@pytest.mark.parametrize(("earlier", "later"), FOLLOWING.values(), ids=FOLLOWING)
def test_a_report_points_to_the_earlier_report_that_explains_it(
    earlier: KernelReport, later: KernelReport
) -> None:
    """In a log, a report's cause is an earlier one that shares its task, CPU, lock or reason."""
    first, second = related((later, earlier))

    assert (first.line, first.follows) == (earlier.line, None)
    assert second.follows == earlier.line


@pytest.mark.parametrize(("earlier", "later"), UNRELATED.values(), ids=UNRELATED)
def test_an_unrelated_report_points_to_no_cause(
    earlier: KernelReport, later: KernelReport
) -> None:
    """A kernel report that no earlier report in the log explains has no cause."""
    assert [one.follows for one in related((earlier, later))] == [None, None]


def test_a_panic_does_not_point_to_an_oops_of_an_earlier_boot() -> None:
    """An oops before the kernel's boot line in a log is not the cause of a panic after it."""
    panic = report("panic", 9, text=PANIC + "Fatal exception")

    assert related((OOPS, panic))[1].follows == OOPS.line
    assert related((OOPS, replace(panic, boot=1)))[1].follows is None


def test_a_panic_points_to_the_later_of_two_reports_that_explain_it() -> None:
    """Of two oopses before a panic the later is its cause; one 100 reports back is not."""
    dead = (report("null-deref", 1, pid=1), report("null-deref", 2, pid=2))
    panic = report("panic", 200, text=PANIC + "Fatal exception")
    between = [report("warning", line + 10) for line in range(100)]

    assert related((*dead, panic))[-1].follows == 2
    assert related((*dead, *between, panic))[-1].follows is None


@pytest.mark.parametrize(
    ("kind", "line", "lines", "expected"),
    [
        ("page-fault", "Oops: 0002 [#1] PREEMPT SMP", 1, True),
        ("page-fault", "Oops: 0002 [#1] PREEMPT SMP", 200, False),
        ("bug", "invalid opcode: 0000 [#1] PREEMPT SMP", 1, True),
        ("hung-task", "Oops: 0002 [#1] PREEMPT SMP", 1, False),
        ("null-deref", PANIC + "Fatal exception", 50, True),
        ("hung-task", PANIC + "hung_task: blocked tasks", 50, True),
        ("hung-task", PANIC + "Fatal exception", 50, False),
        ("warning", PANIC + "sysrq triggered crash", 5, False),
        ("bad-state", "INFO: Freed in f+0x1/0x2 age=1 cpu=1 pid=6", 300, True),
        ("refcount", "WARNING: CPU: 0 PID: 1 at lib/refcount.c:28 f+0x1/0x2", 1, True),
        ("refcount", "WARNING: CPU: 0 PID: 1 at lib/refcount.c:28 f+0x1/0x2", 9, False),
        ("warning", "WARNING: CPU: 0 PID: 1 at a.c:28 f+0x1/0x2", 1, False),
    ],
)
def test_goes_on_tells_whether_a_header_line_continues_the_open_report_or_begins_another(
    kind: str,
    line: str,
    lines: int,
    expected: bool,  # noqa: FBT001
) -> None:
    """`goes_on` is True if a report's further header line belongs to the report being read."""
    hit = headers.match(line)

    assert hit is not None
    assert goes_on(kind, hit, ["x"] * lines) is expected


# From a run's console: CPU 0 spins since 28 s. khugepaged hangs since 33 s, and its watchdog
# reports first.
WATCHED = (
    "[   37.037710] INFO: task khugepaged:36 blocked for more than 4 seconds.",
    "[   37.039000] Call Trace:",
    "[   37.039100]  __schedule+0x351/0xa20",
    "[   37.039200]  __lru_add_drain_all+0x147/0x1f0",
    "[   38.517235] watchdog: BUG: soft lockup - CPU#0 stuck for 9s! [osqstress:309]",
    "[   38.518000] RIP: 0010:osq_crash_spin_twice+0x10/0x30 [osq_test]",
    "[   38.519000] Call Trace:",
    "[   38.519100]  osq_test_ioctl+0x10/0x20 [osq_test]",
)


def test_a_hung_task_points_to_a_lockup_that_was_reported_later_but_began_earlier() -> None:
    """The cause of a hung task is a lockup that began earlier, even if it was reported later."""
    hung, lockup = scan(WATCHED)

    assert (hung.kind, lockup.kind) == ("hung-task", "soft-lockup")
    assert hung.follows == lockup.line
    assert lockup.follows is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("stuck for 9s", "stuck for 3s"),
        ("blocked for more than 4", "blocked for more than 12"),
        ("osqstress:309", "khugepaged:36"),
        ("  38.51", "  31.51"),
        ("  38.517235] watchdog", "  38.517235] nothing"),
    ],
)
def test_a_hung_task_does_not_point_to_a_lockup_at_another_time_or_of_the_same_task(
    old: str, new: str
) -> None:
    """The cause of a hung task must be another task's lockup that was there when it hung."""
    hung, *_ = scan(line.replace(old, new) for line in WATCHED)

    assert hung.kind == "hung-task"
    assert hung.follows is None


@pytest.mark.parametrize("begins", ["Linux version 6.1.0", "harness-test-begin another"])
def test_no_report_points_across_a_boot_line_or_a_harness_test_begin_line_to_another_report(
    begins: str,
) -> None:
    """A report has no cause from before a boot or a test's start, where the clock may restart."""
    between = f"[    5.000000] {begins}"
    hung, lockup = scan((*WATCHED[:4], between, *WATCHED[4:]))
    dead = "[   37.000000] BUG: kernel NULL pointer dereference, address: 0000000000000008"
    _, panic = scan((dead, between, f"[   38.000000] {PANIC}Fatal exception"))

    assert (hung.boot, lockup.boot) == (0, 1)
    assert hung.follows is None
    assert panic.follows is None


def test_a_hung_task_does_not_point_to_a_lockup_that_itself_follows_from_another_report() -> None:
    """A lockup that is a consequence itself is not given as the cause of a hung task."""
    hung, lockup = scan(WATCHED)
    secondary = replace(lockup, follows=3)

    assert related([replace(hung, follows=None), secondary])[0].follows is None


def test_an_allocation_failure_an_hour_earlier_does_not_explain_an_oom_report() -> None:
    """An allocation that failed an hour before is not why the kernel is out of memory now."""
    failed = replace(report("page-allocation-failure", 1, pid=31), at=10.0)
    soon = replace(report("oom", 9, pid=297), at=40.0)
    late = replace(report("oom", 9, pid=297), at=3640.0)

    assert [one.follows for one in related((failed, soon))] == [None, 1]
    assert [one.follows for one in related((failed, late))] == [None, None]
