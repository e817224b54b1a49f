# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""panic: what the kernel says against itself is found, and nothing else is."""

import random

import pytest

from harness.model import KernelReport
from harness.panic.lines import clean, kernel_text
from harness.panic.markers import MarkerKind, parse_marker
from harness.panic.scan import Scanner

FAULTS = {
    "BUG: kernel NULL pointer dereference, address: 0000000000000008": "null-deref",
    "BUG: unable to handle page fault for address: ffffc90000400000": "page-fault",
    "general protection fault, probably for non-canonical address 0xdead: 0000": (
        "general-protection"
    ),
    "BUG: KASAN: slab-use-after-free in f+0x10/0x20 [m]": "kasan",
    "BUG: KFENCE: out-of-bounds read in f+0x10/0x20": "kfence",
    "BUG: KCSAN: data-race in f / g": "kcsan",
    "UBSAN: array-index-out-of-bounds in m.c:10:3": "ubsan",
    "WARNING: CPU: 1 PID: 42 at m.c:7 f+0x1/0x2 [m]": "warning",
    "WARNING: possible circular locking dependency detected": "lockdep",
    "WARNING: suspicious RCU usage": "lockdep",
    "BUG: sleeping function called from invalid context at m.c:3": "atomic-sleep",
    "BUG: scheduling while atomic: sh/1/0x00000002": "atomic-sleep",
    "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [sh:1]": "soft-lockup",
    "INFO: task sh:1 blocked for more than 120 seconds.": "hung-task",
    "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:": "rcu-stall",
    "kernel BUG at m.c:9!": "kernel-bug",
    "list_add corruption. next->prev should be prev": "list-corruption",
    "refcount_t: underflow; use-after-free.": "refcount",
    "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)": "kmemleak",
    "Unable to handle kernel paging request at virtual address dead000000000108": "page-fault",
    "Kernel panic - not syncing: sysrq triggered crash": "panic",
    "Out of memory: Killed process 12 (osqtail) total-vm:1kB": "oom",
    "divide error: 0000 [#1] PREEMPT SMP": "divide",
    "BUG kmalloc-64 (Tainted: G    B): Redzone overwritten": "slab",
}
BENIGN = [
    "BUG: this is a program speaking",
    "root@guest:~# echo Kernel panic - not syncing",
    "[    1.0] mce: CPU supports 10 MCE banks",
    "[    1.0] debug: WARNINGS are on",
    "[    1.0] printk: debug: ignoring loglevel setting.",
    "[    1.0] sh[12]: segfault at 0 ip 0 sp 0 error 4 in sh[0+1000]",
    "[    1.0] traps: sh[12] general protection fault ip:1 sp:2 error:0 in sh[0+1000]",
    "[    1.0] INFO: something is fine",
    "[    1.0] Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on",
    "[    1.0] debugfs: Directory 'x' with parent 'y' already present!",
    "[    1.0] rcu: Hierarchical SRCU implementation.",
    "",
]


def scan(*lines: str) -> list[KernelReport]:
    """Return every report of a console."""
    scanner = Scanner()
    return [report for line in lines for report in scanner.feed(line)] + list(scanner.finish())


@pytest.mark.parametrize(("text", "kind"), FAULTS.items())
@pytest.mark.parametrize(
    "prefix", ["[   12.345678] ", "[    1.0][ T1234] ", "<3>[    1.0][    C0] "]
)
def test_each_fault_is_found_behind_each_prefix(prefix: str, text: str, kind: str) -> None:
    """The kind is right, and the title is the kernel's own first line."""
    (report,) = scan("[    1.0] before", prefix + text, "[   13.0] Call Trace:")

    assert report.kind == kind
    assert report.title == text[:120]
    assert report.line == 1


@pytest.mark.parametrize("line", BENIGN)
def test_what_looks_like_a_fault_is_none(line: str) -> None:
    """User space and the kernel's own harmless words report nothing."""
    assert scan(line) == []


def test_an_oops_that_ends_in_a_panic_is_one_fatal_report() -> None:
    """What follows from a report belongs to it."""
    (report,) = scan(
        "[    1.0] BUG: kernel NULL pointer dereference, address: 0000000000000008",
        "[    1.1] Oops: 0002 [#1] PREEMPT SMP",
        "[    1.2] RIP: 0010:f+0x1/0x2 [m]",
        "[    1.3] Kernel panic - not syncing: Fatal exception",
    )

    assert (report.kind, report.fatal, len(report.text)) == ("null-deref", True, 4)


def test_two_faults_are_two_reports() -> None:
    """A second header that follows from nothing ends the first report."""
    first, second = scan(
        "[    1.0] WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2",
        "[    1.1] UBSAN: shift-out-of-bounds in b.c:2:2",
    )

    assert (first.kind, second.kind) == ("warning", "ubsan")


def test_heartbeats_close_a_report_and_are_not_in_it() -> None:
    """A report to which nothing was added between two heartbeats is given out."""
    scanner = Scanner()
    beat = "[    2.0] harness-heartbeat run 1"

    assert scanner.feed("[    1.0] UBSAN: bad in b.c:2:2") == ()
    assert scanner.feed(beat) == ()
    (report,) = scanner.feed(beat)
    assert report.text == ("UBSAN: bad in b.c:2:2",)


def test_memory_is_bounded() -> None:
    """A report without an end is cut, not kept for ever."""
    lines = ["[    1.0] BUG: something", *(f"[    1.0] line {n}" for n in range(5000))]

    assert [len(report.text) for report in scan(*lines)] == [400]


def test_noise_never_raises() -> None:
    """Random bytes, and every fault cut at every place, give reports or none, but no error."""
    noise = random.Random(1)  # noqa: S311
    for text in FAULTS:
        line = f"[    1.0][ T9] {text}"
        scan(*(line[:cut] for cut in range(len(line))))
    for _ in range(500):
        scan("".join(chr(noise.randrange(1, 400)) for _ in range(80)))


@pytest.mark.parametrize(
    ("line", "kind", "name", "number"),
    [
        ("[    1.0] harness-test-begin t::a[b]", MarkerKind.TEST_BEGIN, "t::a[b]", 0),
        ("[    1.0][ T7] harness-test-end t::a", MarkerKind.TEST_END, "t::a", 0),
        ("[    1.0] harness-canary ab: WARNING: planted", MarkerKind.CANARY, "ab", 0),
        ("[    1.0] harness-heartbeat run-1 42", MarkerKind.HEARTBEAT, "run-1", 42),
        ("[    1.0] harness-last-word ab", MarkerKind.LAST_WORD, "ab", 0),
    ],
)
def test_each_marker_is_read(line: str, kind: MarkerKind, name: str, number: int) -> None:
    """Kind, name and number of every line that the harness leaves in the log."""
    marker = parse_marker(line)

    assert marker is not None
    assert (marker.kind, marker.name, marker.number) == (kind, name, number)


@pytest.mark.parametrize(
    "line",
    ["harness-last-word ab", "[    1.0] harness-last-word", "[    1.0] say harness-last-word ab"],
)
def test_echoes_are_no_markers(line: str) -> None:
    """Without the kernel's timestamp, without a name, or not at the start: no marker."""
    assert parse_marker(line) is None


def test_escapes_and_returns_are_taken_off() -> None:
    """A console's colours and carriage returns do not hide a line."""
    assert clean("\x1b[31m[    1.0] BUG: x\x1b[0m\r") == "[    1.0] BUG: x"
    assert kernel_text("[    1.0] ") == ""
    assert kernel_text("[ OK ] Started") is None
