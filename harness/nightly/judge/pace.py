# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Follow the durations of each cell from night to night, and find steps and slow rises. Pure.

Only passed tests and the guest's boot count, because a failed test ends early or at its deadline.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from harness.model.settings import Verdict
from harness.nightly.judge import noise
from harness.nightly.judge.failures import subject_of
from harness.nightly.judge.findings import Area, Kind, Subject
from harness.nightly.judge.nights import CellOnce


@dataclass(kw_only=True)
class Pace:
    """The durations in seconds of one test, or of the boot, in one cell since the last step.

    `nights` are the names of the nights of these values. `drifts` is True while a slow rise goes
    on.
    """

    values: list[float] = field(default_factory=list)
    nights: list[str] = field(default_factory=list)
    drifts: bool = False


@dataclass(frozen=True, kw_only=True)
class Slowdown:
    """A step or a slow rise of a duration in one cell; `since` is the night of its first value.

    `goes_on` is true for a slow rise that this cell showed the night before, too.
    """

    kind: Kind
    subject: Subject
    cell: CellOnce
    since: str
    change: noise.Change
    goes_on: bool = False


def follow(paces: dict[Subject, Pace], cell: CellOnce, night: str) -> Iterator[Slowdown]:
    """Add one cell's durations of one night to `paces`, and yield the slowdowns that they show."""
    for subject, value in _durations(cell):
        pace = paces.setdefault(subject, Pace())
        pace.values.append(value)
        pace.nights.append(night)
        found = _judge(pace, subject, cell)
        if found is not None:
            yield found


def _durations(cell: CellOnce) -> Iterator[tuple[Subject, float]]:
    if cell.boot_s is not None:
        yield Subject.of(Area.BOOT, ""), cell.boot_s
    for test in cell.tests:
        if test.verdict is Verdict.PASSED:
            yield subject_of(test), test.duration_s


def _judge(pace: Pace, subject: Subject, cell: CellOnce) -> Slowdown | None:
    """Return the slowdown that lasts until the newest value of `pace`, None without one.

    `pace` has the durations of one test, or of the boot, in this cell. If they contain a step, the
    values before it are removed from `pace`; a step to a shorter duration is no slowdown.
    """
    step = noise.step(pace.values)
    if step is not None:
        since = pace.nights[step.begins]
        del pace.values[: step.begins], pace.nights[: step.begins]
        pace.drifts = False
        if step.after_s < step.before_s:
            return None
        return Slowdown(kind=Kind.SLOWER, subject=subject, cell=cell, since=since, change=step)
    drift = noise.drift(pace.values, goes_on=pace.drifts)
    goes_on, pace.drifts = pace.drifts, drift is not None
    if drift is None:
        return None
    since = pace.nights[drift.begins]
    found = Slowdown(kind=Kind.DRIFT, subject=subject, cell=cell, since=since, change=drift)
    return replace(found, goes_on=goes_on)
