# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""watch: what the kernel says is charged to the test that was running, and silence is seen."""

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
    """Return a watch that has seen the lines, one a second from 100 s on."""
    watch = LogWatch(run_id=RUN, token=TOKEN, started_at=100.0, allowed=allowed)
    for at, line in enumerate(lines, start=100):
        watch.feed(line, float(at))
    watch.finish()
    return watch


def test_a_report_belongs_to_the_test_that_was_running() -> None:
    """The line of the report decides, not the moment at which it was complete."""
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
    """After the end mark no test is blamed."""
    watch = fed(
        "[    9.000000] harness-test-begin t::one",
        "[    9.100000] harness-test-end t::one",
        *WARNING,
    )

    assert [report.test for report in watch.reports] == [""]
    assert watch.has_finished("t::one")
    assert not watch.has_finished("t::two")


def test_an_excused_report_is_dropped_and_a_kernels_end_never_is() -> None:
    """`allow_kernel_lines` is searched for in the title; a panic by the same words stays."""
    panic = (
        "[   11.000000] Kernel panic - not syncing: bad_idea",
        "[   11.000001] ---[ end Kernel",
    )

    assert fed(*WARNING, allowed=("no such words",)).reports
    assert not fed(*WARNING, allowed=("no such words", r"bad_id.a\b")).reports
    (report,) = fed(*WARNING, *panic, allowed=("bad_idea",)).reports
    assert report.fatal


def test_what_was_explained_before_is_told_once() -> None:
    """By line and text: the same words in another line are another report."""
    (first,) = fed(*WARNING).reports
    again = LogWatch(run_id=RUN, token=TOKEN, started_at=100.0, explained=(first,))
    for at, line in enumerate((*WARNING, *WARNING), start=100):
        again.feed(line, float(at))

    assert [one.line for one in again.reports] == [first.line + len(WARNING)]


def test_the_planted_line_is_no_fault_but_proof_of_sight() -> None:
    """The canary makes the watch seeing, and adds no report."""
    planted = (
        f"[    1.000000] harness-canary {TOKEN}: WARNING: planted by the harness, not a fault"
    )

    assert fed(planted).sees
    assert fed(planted).reports == ()


def test_without_the_planted_line_the_watch_is_blind() -> None:
    """No canary, or that of another run, is not sight."""
    foreign = "[    1.000000] harness-canary ffff: WARNING: planted by the harness, not a fault"

    assert not fed("[    1.000000] hello").sees
    assert not fed(foreign).sees


def test_heartbeats_of_this_run_count() -> None:
    """Only this run's heartbeat moves the clock; before the first it stands at the start."""
    watch = fed(
        f"[    1.000000] harness-heartbeat {RUN} 1",
        "[    2.000000] harness-heartbeat 20250101-000000-ffff 7",
        f"[    3.000000] harness-heartbeat {RUN} 2",
    )

    assert watch.beats == 2
    assert watch.beat_at == 102.0
    assert fed("[    1.000000] hello").beat_at == 100.0


def test_the_last_word_needs_the_token() -> None:
    """A last word with another token is somebody else's."""
    assert fed(f"[    9.000000] harness-last-word {TOKEN}").last_word_said
    assert not fed("[    9.000000] harness-last-word ffff").last_word_said


def test_a_panic_is_fatal_and_a_warning_is_not() -> None:
    """`fatal` is the report with which the kernel stopped."""
    panic = "[   11.000000] Kernel panic - not syncing: Fatal exception"

    found = fed(*WARNING, panic).fatal
    assert found is not None
    assert "panic" in found.title.lower()
    assert fed(*WARNING).fatal is None
