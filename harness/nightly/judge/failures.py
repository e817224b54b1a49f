# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Follow the verdicts of each cell from night to night: new, fixed, still failing, flaky. Pure.

A subject is a test, or what can end a cell without it: a stage such as the build, or a crash
between tests. A lost or skipped result proves nothing, so it changes nothing. A failure is flaky
when a rerun in a fresh guest passes, or when the test passes again although neither commit nor
kernel has changed. Without reruns, a failure after a pass is flaky when the test was reported as
flaky before, in any cell, or has failed and recovered twice in its last 30 runs.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from itertools import pairwise

from harness.model.settings import Verdict
from harness.nightly.judge.findings import Area, Kind, Subject
from harness.nightly.judge.nights import BAD, CellOnce, TestOnce

# How many runs a rate is taken over, and within how many an earlier failure makes a test flaky.
RATE_RUNS = 60
_SPELL_RUNS = 30
_SPELLS_OF_A_FLAKY_TEST = 2


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A failed or crashed test of a cell in one night, or another cause of the cell's bad verdict.

    `test` is the test's name as its run has it, "" for another cause. `signature` names a crash.
    """

    subject: Subject
    reason: str
    test: str = ""
    signature: str = ""
    reruns: tuple[Verdict, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Event:
    """The judgement of one subject (a test, or what ended a cell) in one cell of one night.

    `since` is the first night of the failure. `last_good` is the cell as it was when the subject
    last passed, None if it never has.
    """

    kind: Kind
    bad: Bad
    cell: CellOnce
    since: str
    last_good: CellOnce | None = None


@dataclass(kw_only=True)
class Course:
    """The earlier results of one subject (a test, or what can end a cell) in one cell.

    `recent` has True for each bad first run, the latest last. `last_good` and `last_bad` are the
    cell as it was then. `since` is the first night of the present failure, "" while it passes.
    """

    recent: deque[bool] = field(default_factory=lambda: deque(maxlen=RATE_RUNS))
    since: str = ""
    bad: Bad | None = None
    last_good: CellOnce | None = None
    last_bad: CellOnce | None = None

    @property
    def spells(self) -> int:
        """How often the subject failed after a pass, within its last 30 runs."""
        runs = [False, *list(self.recent)[-_SPELL_RUNS:]]
        return sum(now and not before for before, now in pairwise(runs))


def bad_subjects(cell: CellOnce) -> tuple[Bad, ...]:
    """Return the bad tests of a cell; without any, what gave the cell its bad verdict.

    That is a crash between tests, the stage in which a cell without results of tests ended, or the
    cell itself.
    """
    tests = tuple(_bad_test(test, cell) for test in cell.tests if test.verdict in BAD)
    if tests or cell.verdict not in BAD:
        return tests
    between = next((crash for crash in cell.crashes if not crash.test), None)
    if between is not None:
        subject = Subject.of(Area.CRASH, between.title)
        return (Bad(subject=subject, reason=between.title, signature=between.signature),)
    if cell.ended_in and not cell.tests:
        return (Bad(subject=Subject.of(Area.STAGE, cell.ended_in), reason=cell.reason),)
    return (Bad(subject=Subject.of(Area.CELL, ""), reason=cell.reason),)


def _bad_test(test: TestOnce, cell: CellOnce) -> Bad:
    crash = next((one for one in cell.crashes if one.test == test.name), None)
    return Bad(
        subject=subject_of(test),
        reason=test.reason or (crash.title if crash else ""),
        test=test.name,
        signature=crash.signature if crash else "",
        reruns=test.reruns,
    )


def subject_of(test: TestOnce) -> Subject:
    """Return the subject that stands for a test in all cells and nights: SUITE::NAME.

    A test without a suite has only NAME.
    """
    return Subject.of(Area.TEST, f"{test.suite}::{test.name}" if test.suite else test.name)


def good_subjects(cell: CellOnce, known: set[Subject]) -> set[Subject]:
    """Return what a cell shows to be good: its passed tests, and stages or crashes that are gone.

    `known` are the subjects that were followed in this cell so far.
    """
    good = {subject_of(test) for test in cell.tests if test.verdict is Verdict.PASSED}
    if cell.verdict is Verdict.PASSED:
        good |= {one for one in known if one.area != Area.TEST.value}
    elif cell.tests:
        # The cell came as far as its tests, so no stage before them is bad.
        good |= {one for one in known if one.area == Area.STAGE.value}
    return good


def follow(
    courses: dict[Subject, Course],
    cell: CellOnce,
    night: str,
    *,
    ran: CellOnce | None,
    flaky: set[Subject],
) -> list[Event]:
    """Add one cell's results of a night to `courses`; return its failures and recoveries.

    A failure that goes on is returned, too. A subject is a test, or what can end a cell. `courses`
    are the earlier results of each subject in this cell. `ran` is the cell as it was when it last
    had test results. `flaky` are the subjects that are known to be flaky, in any cell.
    """
    events = []
    bad = {one.subject: one for one in bad_subjects(cell)}
    for subject in sorted(good_subjects(cell, set(courses)) - set(bad)):
        course = courses.setdefault(subject, Course())
        if course.bad is not None:
            events.append(_recovery(course, course.bad, cell))
        course.recent.append(False)
        course.bad, course.since, course.last_good = None, "", cell
    for subject, one in bad.items():
        # What ends a cell early has no course before it happens, but the cell ran without it.
        early = subject.area != Area.TEST.value
        course = courses.setdefault(subject, Course(last_good=ran if early else None))
        events.append(_failure(course, one, cell, night, known=subject in flaky))
        course.recent.append(True)
        course.last_bad = cell
    return events


def _recovery(course: Course, bad: Bad, cell: CellOnce) -> Event:
    """Return the event of a test, or other subject, that passes after a failure: fixed or flaky.

    It is flaky when neither commit nor kernel has changed since. `since` is the first night of the
    failure.
    """
    then = course.last_bad
    same = then is not None and (then.commit, then.kernel_version) == (
        cell.commit,
        cell.kernel_version,
    )
    if same:
        reason = "it passes again with the same commit and the same kernel"
        bad = replace(bad, reason=reason, reruns=())
    return Event(kind=Kind.FLAKY if same else Kind.FIXED, bad=bad, cell=cell, since=course.since)


def _failure(course: Course, bad: Bad, cell: CellOnce, night: str, *, known: bool) -> Event:
    """Return the event of a failed test, or other subject: new, still failing or flaky.

    `course` then holds the failure, unless it is flaky. `known` is True when the subject has been
    reported as flaky.
    """
    if _is_flaky(course, bad, known=known):
        course.bad, course.since = None, ""
        return Event(kind=Kind.FLAKY, bad=bad, cell=cell, since=night)
    goes_on = course.bad is not None and course.bad.signature == bad.signature
    if not goes_on:
        course.since = night
    course.bad = bad
    return Event(
        kind=Kind.STILL if goes_on else Kind.NEW,
        bad=bad,
        cell=cell,
        since=course.since,
        last_good=course.last_good,
    )


def _is_flaky(course: Course, bad: Bad, *, known: bool) -> bool:
    if bad.reruns:
        return Verdict.PASSED in bad.reruns
    # A failure that goes on from the night before is none that comes and goes.
    if course.bad is not None:
        return False
    return known or course.spells >= _SPELLS_OF_A_FLAKY_TEST
