# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of guest.log_watch: reports are assigned to tests, heartbeats and marks are counted."""

from harness.guest.log_watch import LogWatch

TOKEN = "0123456789abcdef"  # noqa: S105
RUN = "20260101-000000-abcd"
WARNING = (
    "[   10.000001] ------------[ cut here ]------------",
    "[   10.000002] WARNING: CPU: 0 PID: 300 at drivers/x.c:12 bad_idea+0x10/0x20 [m]",
    "[   10.000003] RIP: 0010:bad_idea+0x10/0x20 [m]",
    "[   10.000004] Call Trace:",
    "[   10.000005]  caller+0x1/0x2 [m]",
    "[   10.000006] ---[ end trace 0000000000000000 ]---",
)


def fed(*lines: str, allowed: tuple[str, ...] = ()) -> LogWatch:
    """Return a watch that received the lines, one each second from 100 s on."""
    watch = LogWatch(run_id=RUN, token=TOKEN, started_at=100.0, allowed=allowed)
    for at, line in enumerate(lines, start=100):
        watch.feed(line, float(at))
    watch.finish()
    return watch


def test_a_report_belongs_to_the_test_in_which_it_began_even_if_another_test_began_since() -> None:
    """A kernel report is that of the test that ran when the report's first line arrived."""
    watch = fed(
        "[    9.000000] harness-test-begin t::one",
        *WARNING[:4],
        "[   10.500000] harness-test-end t::one",
        "[   10.600000] harness-test-begin t::two",
    )

    (report,) = watch.reports
    assert report.test == "t::one"
    assert watch.current_test == "t::two"


def test_a_report_between_tests_belongs_to_none() -> None:
    """A kernel report after a test's end mark names no test."""
    watch = fed(
        "[    9.000000] harness-test-begin t::one",
        "[    9.100000] harness-test-end t::one",
        *WARNING,
    )

    assert [report.test for report in watch.reports] == [""]
    assert watch.has_finished("t::one")
    assert not watch.has_finished("t::two")


def test_an_allowed_report_is_dropped_unless_it_is_fatal() -> None:
    """An allowed pattern that matches a report's title drops a warning, but never a panic."""
    panic = (
        "[   11.000000] Kernel panic - not syncing: bad_idea",
        "[   11.000001] ---[ end Kernel",
    )

    assert fed(*WARNING, allowed=("no such words",)).reports
    assert not fed(*WARNING, allowed=("no such words", r"bad_id.a\b")).reports
    (report,) = fed(*WARNING, *panic, allowed=("bad_idea",)).reports
    assert report.fatal


def test_of_kmemleaks_lines_the_leak_itself_is_a_report_and_the_count_of_leaks_is_not() -> None:
    """The count, of a kernel with KASAN, names no function and includes the kernel's own leaks."""
    watch = fed(
        "[  506.329075] kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
        "[  523.538450] harness-test-begin t::leak",
        "[  523.548753] unreferenced object 0xffff888006d01300 (size 128):",
        '[  523.554270]   comm "bash", pid 171, jiffies 4295011708',
        "[  523.574421]   backtrace:",
        "[  523.579073]     [<00000000769a4b8e>] kmalloc_trace+0x26/0xd0",
        "[  523.582971]     [<000000008f988aeb>] flaws_leak+0x36 [flaws]",
        "[  523.620474] harness-test-end t::leak",
    )

    (report,) = watch.reports
    assert (report.function, report.test) == ("flaws_leak", "t::leak")


def test_a_report_explained_before_is_dropped_but_the_same_text_in_later_lines_is_new() -> None:
    """A report that an earlier call returned is dropped; equal text in later lines is new."""
    (first,) = fed(*WARNING).reports
    again = LogWatch(run_id=RUN, token=TOKEN, started_at=100.0, explained=(first,))
    for at, line in enumerate((*WARNING, *WARNING), start=100):
        again.feed(line, float(at))

    assert [one.line for one in again.reports] == [first.line + len(WARNING)]


def test_a_canary_line_planted_by_this_run_sets_sees_faults_to_true_and_is_not_a_report() -> None:
    """The run writes a false warning into the kernel's log to prove that it sees warnings."""
    planted = (
        f"[    1.000000] harness-canary {TOKEN}: WARNING: planted by the harness, not a fault"
    )

    assert fed(planted).sees_faults
    assert fed(planted).reports == ()


def test_sees_faults_stays_false_without_a_harness_canary_line_of_this_run() -> None:
    """A test warning planted by another run is no proof that this run sees the kernel's log."""
    foreign = "[    1.000000] harness-canary ffff: WARNING: planted by the harness, not a fault"

    assert not fed("[    1.000000] hello").sees_faults
    assert not fed(foreign).sees_faults


def test_heartbeat_lines_of_another_run_are_ignored() -> None:
    """Only lines with this run's id count; before one, `beat_at` is when the watch began."""
    watch = fed(
        f"[    1.000000] harness-heartbeat {RUN} 1",
        "[    2.000000] harness-heartbeat 20250101-000000-ffff 7",
        f"[    3.000000] harness-heartbeat {RUN} 2",
    )

    assert watch.beats == 2
    assert watch.beat_at == 102.0
    assert fed("[    1.000000] hello").beat_at == 100.0


def test_a_result_of_the_final_log_check_with_another_token_is_ignored() -> None:
    """The last line that a run plants in the kernel's log counts only with the run's token."""
    assert fed(f"[    9.000000] harness-last-word {TOKEN}").last_word_said
    assert not fed("[    9.000000] harness-last-word ffff").last_word_said


def test_a_panic_is_fatal_and_a_warning_is_not() -> None:
    """A panic is the fatal report of a log; a warning is not."""
    panic = "[   11.000000] Kernel panic - not syncing: Fatal exception"

    fatal = fed(*WARNING, panic).fatal
    assert fatal is not None
    assert "panic" in fatal.title.lower()
    assert fed(*WARNING).fatal is None
