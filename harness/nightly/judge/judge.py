# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Judge every night of a history against the nights before it. Pure.

The nights are followed in their order. What the cells show is joined: one failure in thirty cells
is one finding with thirty cells. A finding is news in the first night that reports it. It is news
again after a time without it: 30 nights for a flaky test or a drift, 5 for a step, 1 for a loss.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from statistics import median

from harness.model.settings import Verdict
from harness.nightly.judge import cause, failures, pace
from harness.nightly.judge.failures import Course, Event
from harness.nightly.judge.findings import (
    Area,
    Cause,
    Finding,
    Judgement,
    Kind,
    Rate,
    Subject,
)
from harness.nightly.judge.nights import CellOnce, Night
from harness.nightly.judge.pace import Pace, Slowdown

# A flaky test or a drift that was reported within so many nights is no news.
_REMEMBERED_NIGHTS = 30
# Cells that missed a night confirm a step later. It is still the same step.
_SAME_STEP_NIGHTS = 5
# With fewer runs of a cell, the cells that happened to fail say nothing about the rate.
_FEWEST_RATE_RUNS = 20


def judge(nights: Sequence[Night]) -> tuple[Judgement, ...]:
    """Return the judgement of each night, in the order of the nights: the oldest first."""
    history = _History()
    return tuple(history.judge(night, number) for number, night in enumerate(nights))


class _History:
    """What the judged nights have shown so far. It lives as long as one call of `judge`."""

    def __init__(self) -> None:
        self._courses: dict[str, dict[Subject, Course]] = {}
        self._paces: dict[str, dict[Subject, Pace]] = {}
        self._ran: dict[str, CellOnce] = {}
        self._warnings: dict[str, set[str]] = {}
        self._causes: dict[str, Cause | None] = {}
        self._reported: dict[tuple[Kind, Subject], int] = {}
        self._began: dict[tuple[Kind, Subject], str] = {}

    def judge(self, night: Night, number: int) -> Judgement:
        """Return the findings of the next night, and remember its results for the nights after it.

        `number` is the night's position in the history, from 0.
        """
        flaky = {subject for kind, subject in self._recent(number) if kind is Kind.FLAKY}
        events: list[Event] = []
        slowdowns: list[Slowdown] = []
        for cell in night.cells:
            courses = self._courses.setdefault(cell.cell, {})
            ran = self._ran.get(cell.cell)
            events += failures.follow(courses, cell, night.name, ran=ran, flaky=flaky)
            paces = self._paces.setdefault(cell.cell, {})
            slowdowns += pace.follow(paces, cell, night.name)
        found = [
            *self._failures(events, night, number),
            *self._slowdowns(slowdowns, number),
            *self._new_warnings(night),
            *self._lost(night, number),
        ]
        self._ran.update((cell.cell, cell) for cell in night.cells if cell.tests)
        order = list(Kind)
        found.sort(key=lambda one: (order.index(one.kind), -len(one.cells), one.subject))
        return Judgement(night=night.name, findings=tuple(found))

    def _recent(self, number: int) -> list[tuple[Kind, Subject]]:
        return [key for key, last in self._reported.items() if number - last <= _REMEMBERED_NIGHTS]

    def _report(self, kind: Kind, subject: Subject, number: int, within: int) -> bool:
        """Record that night `number` reports a finding; return whether it is news.

        It is news when no finding of the same kind about the same subject was reported in the last
        `within` nights.
        """
        last = self._reported.get((kind, subject))
        self._reported[kind, subject] = number
        return last is None or number - last > within

    # --- failures ------------------------------------------------------------------------------

    def _failures(self, events: Iterable[Event], night: Night, number: int) -> list[Finding]:
        def key(event: Event) -> tuple[str, str, str]:
            since = "" if event.kind is Kind.FLAKY else event.since
            name = event.bad.signature or str(event.bad.subject)
            return event.kind.value, since, name

        groups = groupby(sorted(events, key=key), key)
        return [self._failure(tuple(group), night, number) for _, group in groups]

    def _failure(self, events: tuple[Event, ...], night: Night, number: int) -> Finding:
        first = events[0]
        found = Finding(
            kind=first.kind,
            subject=first.bad.subject,
            cells=tuple(sorted({event.cell.cell for event in events})),
            since=first.since,
            is_news=first.kind is not Kind.STILL,
            reason=first.bad.reason,
            test=first.bad.test,
            signature=first.bad.signature,
        )
        if found.kind is Kind.FLAKY:
            news = self._report(Kind.FLAKY, found.subject, number, _REMEMBERED_NIGHTS)
            return replace(found, is_news=news, rate=self._rate(found.subject, events))
        # Later nights keep this cause: a range of their own would end at a later commit.
        if found.kind is Kind.NEW:
            good = self._good_tonight(found.subject, night)
            self._causes[found.key] = cause.of_failure(events, good)
        return replace(found, cause=self._causes.get(found.key))

    def _good_tonight(self, subject: Subject, night: Night) -> list[tuple[CellOnce, CellOnce]]:
        """Return the cells in which a test, or other subject, passes, with their runs before."""
        good = []
        for cell in night.cells:
            before = self._ran.get(cell.cell)
            if before is not None and subject in failures.good_subjects(cell, {subject}):
                good.append((cell, before))
        return good

    def _rate(self, subject: Subject, events: tuple[Event, ...]) -> Rate:
        courses = [
            course.recent
            for of_cell in self._courses.values()
            if (course := of_cell.get(subject)) is not None
        ]
        affected = [recent for recent in courses if any(recent)]
        if min((len(recent) for recent in affected), default=0) < _FEWEST_RATE_RUNS:
            affected = courses
        reruns = [verdict for event in events for verdict in event.bad.reruns]
        return Rate(
            bad=sum(map(sum, affected)),
            runs=sum(map(len, affected)),
            cells=len(affected),
            reruns_passed=reruns.count(Verdict.PASSED),
            reruns=len(reruns),
        )

    # --- durations, warnings, lost cells -------------------------------------------------------

    def _slowdowns(self, slowdowns: Iterable[Slowdown], number: int) -> list[Finding]:
        def key(one: Slowdown) -> tuple[str, Subject]:
            return one.kind.value, one.subject

        groups = groupby(sorted(slowdowns, key=key), key)
        return [self._slowdown(tuple(group), number) for _, group in groups]

    def _slowdown(self, group: tuple[Slowdown, ...], number: int) -> Finding:
        first = group[0]
        within = _SAME_STEP_NIGHTS if first.kind is Kind.SLOWER else _REMEMBERED_NIGHTS
        middle = median(one.change.share for one in group)
        # The numbers of one real cell are shown, since a median of each would belong to none.
        typical = min(group, key=lambda one: abs(one.change.share - middle))
        key = (first.kind, first.subject)
        is_news = self._report(*key, number, within)
        if is_news:
            self._began[key] = min(one.since for one in group)
        return Finding(
            kind=first.kind,
            subject=first.subject,
            cells=tuple(sorted(one.cell.cell for one in group)),
            since=self._began[key],
            is_news=is_news,
            change=typical.change,
        )

    def _new_warnings(self, night: Night) -> list[Finding]:
        cells: dict[str, list[str]] = {}
        for cell in night.cells:
            known = self._warnings.get(cell.cell)
            for text in cell.warnings:
                # In the first night of a cell every warning would be new.
                if known is not None and text not in known:
                    cells.setdefault(text, []).append(cell.cell)
            self._warnings.setdefault(cell.cell, set()).update(cell.warnings)
        return [
            Finding(
                kind=Kind.WARNING,
                subject=Subject.of(Area.WARNING, text),
                cells=tuple(sorted(of_text)),
                since=night.name,
                is_news=True,
                reason=text,
            )
            for text, of_text in cells.items()
        ]

    def _lost(self, night: Night, number: int) -> list[Finding]:
        lost: dict[tuple[str, str], list[str]] = {}
        retried: dict[tuple[str, str], list[str]] = {}
        for cell in night.cells:
            for attempt in cell.lost_tries:
                retried.setdefault((attempt.worker, attempt.reason), []).append(cell.cell)
            if cell.verdict is Verdict.LOST:
                lost.setdefault((cell.worker, cell.reason), []).append(cell.cell)
        groups: dict[Subject, tuple[str, list[str]]] = {}
        ran = Counter(cell.worker for cell in night.cells)
        for (worker, reason), cells in (*lost.items(), *retried.items()):
            # A worker that lost one cell, or not all of its cells, may be well.
            all_lost = ran[worker] == len(cells) > 1
            is_worker = bool(worker) and (all_lost or (worker, reason) in retried)
            only = cells[0] if len(cells) == 1 else ""
            subject = Subject.of(*((Area.WORKER, worker) if is_worker else (Area.CELL, only)))
            groups.setdefault(subject, (reason, []))[1].extend(cells)
        return [
            Finding(
                kind=Kind.LOST,
                subject=subject,
                cells=tuple(sorted(set(cells))),
                since=night.name,
                is_news=self._report(Kind.LOST, subject, number, 1),
                reason=reason,
            )
            for subject, (reason, cells) in groups.items()
        ]
