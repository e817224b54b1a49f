# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of scan: reports of the kernel are found in a console, and nothing else is."""

import random

import pytest

from harness.panic.causes import related
from harness.panic.markers import MarkerKind, parse_marker
from harness.panic.scan import Scanner
from harness.panic.scan import scan as scan_log
from harness.panic.values import KernelReport

FAULTS = {
    "BUG: kernel NULL pointer dereference, address: 0000000000000008": (
        "null-deref",
        "BUG: unable to handle kernel NULL pointer dereference",
    ),
    "BUG: KASAN: slab-use-after-free in f+0x10/0x20 [m]": (
        "kasan",
        "KASAN: slab-use-after-free in f",
    ),
    "WARNING: CPU: 1 PID: 42 at m.c:7 f+0x1/0x2 [m]": ("warning", "WARNING in f"),
    "INFO: task sh:1 blocked for more than 120 seconds.": ("hung-task", "INFO: task hung"),
    "Kernel panic - not syncing: sysrq triggered crash": (
        "panic",
        "kernel panic: sysrq triggered crash",
    ),
    "Out of memory: Killed process 12 (osqtail) total-vm:1kB": ("oom", "out of memory"),
    "BUG kmalloc-64 (Tainted: G    B): Redzone overwritten": (
        "bad-state",
        "BUG: Redzone overwritten",
    ),
}
BENIGN = [
    "BUG: this is a program speaking",
    "root@guest:~# echo Kernel panic - not syncing",
    "[    1.000000] mce: CPU supports 10 MCE banks",
    "[    1.000000] debug: WARNINGS are on",
    "[    1.000000] printk: debug: ignoring loglevel setting.",
    "[    1.000000] sh[12]: segfault at 0 ip 0 sp 0 error 4 in sh[0+1000]",
    "[    1.000000] traps: sh[12] general protection fault ip:1 sp:2 error:0 in sh[0+1000]",
    "[    1.000000] INFO: something is fine",
    "[    1.000000] Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on",
    "[    1.000000] debugfs: Directory 'x' with parent 'y' already present!",
    "[    1.000000] rcu: Hierarchical SRCU implementation.",
    "",
]


def scan(*lines: str) -> list[KernelReport]:
    """Return every report of a console."""
    scanner = Scanner()
    return [report for line in lines for report in scanner.feed(line)] + list(scanner.finish())


@pytest.mark.parametrize(("text", "expected"), FAULTS.items())
@pytest.mark.parametrize(
    "prefix", ["[   12.345678] ", "[    1.000000][ T1234] ", "<3>[    1.000000][    C0] "]
)
def test_a_kernel_fault_after_each_of_three_printk_prefixes_gives_one_report_of_its_kind(
    prefix: str, text: str, expected: tuple[str, str]
) -> None:
    """Example faults with [time], [time][thread] and level prefixes give kind and title."""
    (report,) = scan("[    1.000000] before", prefix + text, "[   13.000000] Call Trace:")

    assert (report.kind, report.title) == expected
    assert report.line == 1


@pytest.mark.parametrize("line", BENIGN)
def test_lines_that_resemble_faults_give_no_report(line: str) -> None:
    """Lines of user space and harmless kernel messages give no report."""
    assert scan(line) == []


def test_an_oops_that_ends_in_a_panic_is_one_fatal_report() -> None:
    """An oops that ends in a panic is one report, which is fatal and has all lines."""
    (report,) = scan(
        "[    1.000000] BUG: kernel NULL pointer dereference, address: 0000000000000008",
        "[    1.100000] Oops: 0002 [#1] PREEMPT SMP",
        "[    1.200000] RIP: 0010:f+0x1/0x2 [m]",
        "[    1.300000] Kernel panic - not syncing: Fatal exception",
    )

    assert (report.kind, report.fatal, len(report.text)) == ("null-deref", True, 4)


def test_two_faults_are_two_reports() -> None:
    """A second fault's first line ends the report of the first fault and begins another."""
    first, second = scan(
        "[    1.000000] WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2",
        "[    1.100000] UBSAN: shift-out-of-bounds in b.c:2:2",
    )

    assert (first.kind, second.kind) == ("warning", "ubsan")


def test_an_open_report_is_returned_when_two_heartbeat_lines_follow_it() -> None:
    """Two heartbeats of the guest with no line in between show that a report has ended."""
    scanner = Scanner()
    beat = "[    2.000000] harness-heartbeat run 1"

    assert scanner.feed("[    1.000000] UBSAN: bad in b.c:2:2") == ()
    assert scanner.feed(beat) == ()
    (report,) = scanner.feed(beat)
    assert report.text == ("UBSAN: bad in b.c:2:2",)


def test_the_text_of_a_report_without_an_end_is_truncated_to_400_lines() -> None:
    """A report with 5000 frames and no end is cut at 400 lines."""
    frames = (f"[    1.000000]  f{n}+0x1/0x2" for n in range(5000))

    assert [len(report.text) for report in scan("[    1.000000] BUG: x", *frames)] == [400]


def test_random_and_cut_lines_never_raise() -> None:
    """Random characters, and each fault cut at each place, raise no error."""
    noise = random.Random(1)  # noqa: S311
    for text in FAULTS:
        line = f"[    1.000000][ T9] {text}"
        scan(*(line[:cut] for cut in range(len(line))))
    for _ in range(500):
        scan("".join(chr(noise.randrange(1, 400)) for _ in range(80)))


@pytest.mark.parametrize(
    ("line", "kind", "name", "number"),
    [
        ("[    1.000000] harness-test-begin t::a[b]", MarkerKind.TEST_BEGIN, "t::a[b]", 0),
        ("[    1.000000][ T7] harness-test-end t::a", MarkerKind.TEST_END, "t::a", 0),
        ("[    1.000000] harness-canary ab: WARNING: planted", MarkerKind.CANARY, "ab", 0),
        ("[    1.000000] harness-heartbeat run-1 42", MarkerKind.HEARTBEAT, "run-1", 42),
        ("[    1.000000] harness-last-word ab", MarkerKind.LAST_WORD, "ab", 0),
    ],
)
def test_each_marker_line_of_the_harness_gives_kind_name_and_number(
    line: str, kind: MarkerKind, name: str, number: int
) -> None:
    """Lines like harness-test-begin, which the guest writes to its kernel log, are parsed."""
    marker = parse_marker(line)

    assert marker is not None
    assert (marker.kind, marker.name, marker.number) == (kind, name, number)


@pytest.mark.parametrize(
    "line",
    [
        "harness-last-word ab",
        "[    1.000000] harness-last-word",
        "[    1.000000] say harness-last-word ab",
    ],
)
def test_malformed_markers_are_rejected(line: str) -> None:
    """A harness-... line without timestamp or name, or not at a line's start, gives None."""
    assert parse_marker(line) is None


def test_reports_that_two_cpus_print_at_once_are_separated() -> None:
    """Thread or CPU ids of printk tell which lines of a mixed log belong to which report."""
    first, second = scan(
        "[    1.000001][   T10] BUG: kernel NULL pointer dereference, address: 08",
        "[    1.000002][   T11] WARNING: CPU: 1 PID: 11 at b.c:1 g+0x1/0x2",
        "[    1.000003][   T10] RIP: 0010:f+0x1/0x2",
        "[    1.000004][   T11] RIP: 0010:g+0x1/0x2",
        "[    1.000005][   T10] ---[ end trace 0 ]---",
        "[    1.000006][   T11] ---[ end trace 0 ]---",
    )

    assert (first.function, second.function) == ("f", "g")
    assert [len(report.text) for report in (first, second)] == [3, 3]


def test_another_cpus_backtrace_belongs_to_the_stall_report() -> None:
    """In a stall report, another CPU's backtrace belongs to the report that requested it."""
    (report,) = scan(
        "[    1.000001][    C0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
        "[    1.000002][    C0] rcu: \t1-....: (99 ticks this GP)",
        "[    1.000003][   T99] eth0: somebody else's line",
        "[    1.000004][    C1] NMI backtrace for cpu 1",
        "[    1.000005][    C1] RIP: 0010:osq_spin+0x1/0x2 [osq]",
        "[    1.000006][    C1] Call Trace:",
        "[    1.000007][    C1]  osq_ioctl+0x1/0x2 [osq]",
    )

    assert (report.function, report.module, report.cpu) == ("osq_spin", "osq", 1)
    assert len(report.text) == 6


def test_a_report_within_another_cpus_line_is_found() -> None:
    """A report that begins in the middle of another CPU's line is found."""
    (report,) = scan("[    1.000000] eth0: link[    1.000001] UBSAN: bad in b.c:2:2")

    assert (report.kind, report.line) == ("ubsan", 0)


def test_a_report_keeps_5_log_lines_before_it_or_50_of_its_thread_if_lines_name_threads() -> None:
    """A report keeps five kernel lines before it, or fifty of its thread, without heartbeats."""
    plain = [f"[    1.000000] line {number}" for number in range(9)]
    beat = "[    2.000000] harness-heartbeat run 1"
    (bare,) = scan(*plain, beat, "user text", "[    3.000000] UBSAN: bad in b.c:2:2")
    own = [f"[    1.000000][   T5] own {number}" for number in range(60)]
    (threaded,) = scan(*own, "[    3.000000][   T5] UBSAN: bad in b.c:2:2")

    assert bare.before == tuple(f"line {number}" for number in range(4, 9))
    assert threaded.before == tuple(f"own {number}" for number in range(10, 60))


def test_lines_after_a_report_are_not_in_its_text() -> None:
    """Unrelated kernel lines after a report's last frame are not in its text."""
    (report,) = scan(
        "[    1.000000] UBSAN: bad in b.c:2:2",
        "[    1.000001] Call Trace:",
        "[    1.000002]  f+0x1/0x2",
        "[    9.000000] eth0: link up",
        "[    9.000001] eth0: link down",
    )

    assert report.text[-1] == " f+0x1/0x2"


def test_a_panic_after_the_end_of_an_oops_is_a_report_that_follows_from_the_oops() -> None:
    """A panic after the end mark of an oops is a second report, which follows from the oops."""
    reports = scan(
        "[    1.000000] BUG: kernel NULL pointer dereference, address: 08",
        "[    1.000001] CPU: 0 PID: 7 Comm: sh Not tainted 6.1.0 #1",
        "[    1.000002] ---[ end trace 0 ]---",
        "[    1.000003] Kernel panic - not syncing: Fatal exception",
        "[    1.000004] ---[ end Kernel panic - not syncing: Fatal exception ]---",
    )

    oops, panic = related(reports)
    assert (oops.fatal, oops.follows) == (False, None)
    assert (panic.fatal, panic.follows) == (True, oops.line)


def test_a_fault_line_without_a_time_is_reported_if_no_line_has_one_or_a_frame_follows() -> None:
    """In a log without times, bare lines are the kernel's; otherwise a stack must follow."""
    bare = ["BUG: kernel NULL pointer dereference, address: 08", " f+0x1/0x2"]
    stamped = "[    0.000000] Linux version 6.1.0"

    assert [report.kind for report in scan_log(bare)] == ["null-deref"]
    assert scan_log([stamped, *bare[:1]]) == ()
    assert [report.function for report in scan_log([stamped, *bare])] == ["f"]


def test_reports_beyond_the_limit_of_detailed_reports_have_a_kind_but_no_text() -> None:
    """In a log with very many reports, later ones keep only kind and line number."""
    scanner = Scanner(detailed=1)
    lines = [
        f"[    {n}.000000] BUG: unable to handle page fault for address: 0" for n in (1, 2, 3)
    ]
    weather = "[    4.000000] WARNING: the weather changes"

    found = [one for line in (*lines, weather) for one in scanner.feed(line)]
    found += scanner.finish()

    assert [(one.kind, one.line, len(one.text)) for one in found] == [
        ("page-fault", 0, 1),
        ("page-fault", 1, 0),
        ("page-fault", 2, 0),
    ]


def test_when_50_reports_are_open_the_oldest_are_closed_so_that_8_stay_open() -> None:
    """When 50 reports are open at once, the oldest are closed, so that at most 8 stay open."""
    lines = [f"[    1.000000][ T{number}] UBSAN: bad in b.c:2:2" for number in range(50)]
    scanner = Scanner()

    given = [report for line in lines for report in scanner.feed(line)]

    assert len(given) == 42
    assert len(scanner.finish()) == 8
