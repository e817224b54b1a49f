# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the rules of nightly.judge, each on a few nights of one or two cells."""

import pytest

from harness.model.settings import Verdict
from harness.nightly.judge.findings import Area, Finding, Kind, Suspect
from harness.nightly.judge.judge import judge
from harness.nightly.judge.nights import CellOnce, LostTry, TestOnce
from tests.unit.nightly.mornings import cell, crash, night, result

P, F, C, S, L = (
    Verdict.PASSED,
    Verdict.FAILED,
    Verdict.CRASHED,
    Verdict.SKIPPED,
    Verdict.LOST,
)


def last_of(*cells: CellOnce | tuple[CellOnce, ...]) -> tuple[Finding, ...]:
    """Return the findings of the last of these nights; a night is a cell or several."""
    nights = [
        night(number, *(one if isinstance(one, tuple) else (one,)))
        for number, one in enumerate(cells, 1)
    ]
    return judge(nights)[-1].findings


def kinds(*verdicts: Verdict, commits: bool = True) -> list[Kind]:
    """Return the kinds of findings after these verdicts of one test, a night each.

    With `commits`, each night tests another commit.
    """
    cells = [
        cell("one", result("test_a", verdict), commit=str(number) if commits else "same")
        for number, verdict in enumerate(verdicts)
    ]
    return [one.kind for one in last_of(*cells)]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([P, P], []),
        ([F], [Kind.NEW]),
        ([P, F], [Kind.NEW]),
        ([P, F, F], [Kind.STILL]),
        ([P, F, P], [Kind.FIXED]),
        ([P, F, S, F], [Kind.STILL]),
        ([P, F, S, P], [Kind.FIXED]),
        ([P, F, S], []),
        ([P, C], [Kind.NEW]),
        ([F, P, F, P, F], [Kind.FLAKY]),
        ([F, P, P, F], [Kind.NEW]),
    ],
)
def test_the_course_of_a_test_decides_what_a_failure_is(
    verdicts: list[Verdict], expected: list[Kind]
) -> None:
    """By its verdicts over the nights, a failure is new, still failing, fixed or flaky."""
    assert kinds(*verdicts) == expected


def test_a_test_that_passes_again_with_nothing_changed_is_flaky_and_not_fixed() -> None:
    """Pass, fail and pass in three nights with one commit and one kernel are a flake."""
    assert kinds(P, F, P, commits=False) == [Kind.FLAKY]


def test_a_failure_whose_rerun_passes_is_flaky_and_its_first_verdict_counts() -> None:
    """A flaky test's rate counts a night's first verdicts; reruns in fresh guests are extra."""
    good = cell("one", result("test_a"))
    bad = cell("one", result("test_a", F, reruns=(F, P)))

    (found,) = last_of(good, good, good, bad)

    assert found.kind is Kind.FLAKY
    assert found.rate is not None
    assert (found.rate.bad, found.rate.runs) == (1, 4)
    assert (found.rate.reruns_passed, found.rate.reruns) == (1, 2)


def test_a_failure_of_all_reruns_is_new_although_the_test_is_known_to_be_flaky() -> None:
    """If a flaky test also fails in all of a night's reruns, it is reported as newly broken."""
    flaky = cell("one", result("test_a", F, reruns=(P,)), commit="a")
    broken = cell("one", result("test_a", F, reruns=(F, F, F)), commit="b")

    assert [one.kind for one in last_of(flaky, flaky, broken)] == [Kind.NEW]


def test_another_crash_of_a_failing_test_is_a_new_failure() -> None:
    """A crash with another signature than the night before is news; the same one is not."""
    first = cell("one", result("test_a", C), crashes=(crash("test_a", "BUG: a", "a" * 12),))
    second = cell("one", result("test_a", C), crashes=(crash("test_a", "BUG: b", "b" * 12),))

    assert [one.kind for one in last_of(first, second)] == [Kind.NEW]
    assert [one.kind for one in last_of(first, first)] == [Kind.STILL]


def test_one_crash_in_two_tests_is_one_finding() -> None:
    """Two tests of a night that crash with the same signature are reported once."""
    good = cell("one", result("test_a"), result("test_b"))
    bad = cell(
        "one",
        result("test_a", C),
        result("test_b", C),
        crashes=(crash("test_a"), crash("test_b")),
    )

    assert len(last_of(good, bad)) == 1


def test_a_crash_between_tests_and_a_failed_stage_are_findings_of_their_own() -> None:
    """A night's target, kernel and tests can be bad with no failed test, as if insmod fails."""
    good = cell("one", result("test_a"))
    between = cell("one", result("test_a"), verdict=C, crashes=(crash(""),))
    no_load = cell("one", verdict=F, ended_in="load", reason="insmod: Invalid argument")

    assert last_of(good, between)[0].subject.area == Area.CRASH.value
    (found,) = last_of(good, no_load)
    assert (found.subject.area, found.subject.name) == (Area.STAGE.value, "load")
    assert [one.kind for one in last_of(good, no_load, good)] == [Kind.FLAKY]


@pytest.mark.parametrize(
    ("commit", "version", "suspect"),
    [
        ("b", "1", Suspect.COMMITS),
        ("a", "2", Suspect.KERNELS),
        ("b", "2", Suspect.BOTH),
        ("a", "1", Suspect.NOTHING),
    ],
)
def test_what_changed_since_the_last_pass_is_the_suspect(
    commit: str, version: str, suspect: Suspect
) -> None:
    """A new failure is blamed on the commits, the kernel's versions, both or something unknown."""
    good = cell("one", result("test_a"), commit="a", kernel_version="1")
    bad = cell("one", result("test_a", F), commit=commit, kernel_version=version)

    (found,) = last_of(good, bad)

    assert found.cause is not None
    assert found.cause.suspect is suspect


def test_a_cell_in_which_only_the_commit_changed_decides_for_the_others() -> None:
    """If a test fails on two targets, the one whose kernel is unchanged blames the commit."""
    good = (
        cell("one", result("test_a"), commit="a", kernel_version="1"),
        cell("two", result("test_a"), commit="a", kernel_version="9"),
    )
    bad = (
        cell("one", result("test_a", F), commit="b", kernel_version="2"),
        cell("two", result("test_a", F), commit="b", kernel_version="9"),
    )

    (found,) = last_of(good, bad)

    assert found.cause is not None
    assert found.cause.suspect is Suspect.COMMITS
    assert found.cause.cell == "two"


def test_a_test_that_never_passed_has_no_suspect() -> None:
    """A failure in a test's first night cannot be blamed on a change."""
    (found,) = last_of(cell("one", result("test_a", F)))

    assert found.cause is not None
    assert found.cause.suspect is Suspect.FIRST


def test_the_range_of_commits_begins_at_the_last_pass_across_lost_nights() -> None:
    """A night without a verdict is skipped, so a failure's range of commits reaches beyond it."""
    good = cell("one", result("test_a"), commit="a")
    lost = cell("one", verdict=L, commit="b")
    bad = cell("one", result("test_a", F), commit="c")

    found = next(one for one in last_of(good, lost, bad) if one.kind is Kind.NEW)

    assert found.cause is not None
    assert found.cause.commits == ("a", "c")


def test_a_cell_that_was_run_again_elsewhere_names_the_worker_that_was_lost() -> None:
    """A night's cell (target, kernel, tests) passed on a second host; the first host is lost."""
    moved = cell("one", result("test_a"), lost_tries=(LostTry(worker="kvm-1", reason="gone"),))

    (found,) = last_of(moved)

    assert (found.kind, found.subject.name, found.reason) == (Kind.LOST, "kvm-1", "gone")


def test_a_worker_that_also_finished_a_cell_was_not_lost() -> None:
    """Of a host's three cells (target, kernel, tests) one ended, so the host itself works."""
    late: dict[str, object] = {"verdict": L, "worker": "kvm-1", "reason": "not finished"}
    cells = (cell("one", **late), cell("two", **late), cell("three", result("t"), worker="kvm-1"))

    (alone,) = last_of(cells)
    (whole,) = last_of(cells[:2])

    assert alone.subject.area == Area.CELL.value
    assert (whole.subject.area, whole.subject.name) == (Area.WORKER.value, "kvm-1")


def test_a_warning_is_new_once_and_not_in_the_first_night_of_a_cell() -> None:
    """A kernel's or compiler's warning is news only in the night after one without it."""
    plain = cell("one", result("test_a"))
    warns = cell("one", result("test_a"), warnings=("f.c:7: unused",))

    assert last_of(warns) == ()
    assert [one.kind for one in last_of(plain, warns)] == [Kind.WARNING]
    assert last_of(plain, warns, warns) == ()


def timed(*seconds: float) -> list[list[Kind]]:
    """Return the kinds of news of each night for these durations of one test."""
    nights = [
        night(number, cell("one", result("test_a", duration_s=value)))
        for number, value in enumerate(seconds, 1)
    ]
    return [[one.kind for one in each.news] for each in judge(nights)]


def test_a_step_is_reported_when_it_has_held_for_four_nights() -> None:
    """A test that is 40 % slower from one night on is reported once, in the fourth night."""
    found = timed(*[1.0, 1.02, 0.98, 1.01] * 4, *[1.4] * 10)

    assert [number for number, each in enumerate(found) if each] == [16 + 3]
    assert found[19] == [Kind.SLOWER]


def test_three_slow_nights_and_a_faster_test_are_no_findings() -> None:
    """A test slow for three nights only, and one that gets faster, are not reported."""
    assert not any(timed(*[1.0, 1.02, 0.98, 1.01] * 4, *[1.4] * 3, *[1.0, 1.01] * 6))
    assert not any(timed(*[1.0, 1.02, 0.98, 1.01] * 4, *[0.6] * 10))


def test_a_failed_test_gives_no_duration() -> None:
    """A test that fails at its deadline night after night is not reported as slower."""
    good = [result("test_a", duration_s=1.0)] * 16
    bad: list[TestOnce] = [result("test_a", F, duration_s=60.0)] * 6
    nights = [night(number, cell("one", one)) for number, one in enumerate([*good, *bad], 1)]

    assert not {Kind.SLOWER, Kind.DRIFT} & {
        one.kind for each in judge(nights) for one in each.findings
    }
