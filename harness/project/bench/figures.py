# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The figures of a run of bench-ring: costs as ratios to a rival's, lost records, goals. Pure.

Of one round, all engines ran within milliseconds of each other. So a ratio is taken within each
round, and the interval says how far the ratios of the rounds agree.
"""

import json
import random
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.project.bench import contention

FLOOR = "floor"
OURS = "ours"
LTTNG = "lttng-ust"
_GOAL_BYTES = 256
_GOAL_RATIO = 1.25
# What a busy host of so many CPUs makes, with sockets and opens on.
_GOAL_CPUS = 64
_GOAL_RATE = 300_000
_RESAMPLES = 400
# What a line of the program says, by name; its kind is taken out.
Row = dict[str, Any]
# In some sessions lttng-tools 2.13.9 reports 2^63 more discarded events than there were: what was
# read and the rest of that number then make exactly what was put.
_LTTNG_WRAPS = 2**63
# A fixed seed: the same measurements give the same interval.
_SEED = 23


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The median of some measured values, and its bootstrap confidence interval of 95 %."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return median, lower and upper end of the interval as text."""
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a record costs one engine (a ring or queue) while producers write as fast as they can.

    It was measured in one cell: a size of the ring, a number of producers and a size of the
    record.
    Units: `batch_ns` and `records_per_s` have one value for each round; `single_ns` are median, 99
        % and 99.9 % of all records that were timed by themselves, each with one clock read.
    """

    engine: str
    ring_bytes: int
    producers: int
    record_bytes: int
    batch_ns: tuple[float, ...]
    records_per_s: tuple[float, ...]
    single_ns: tuple[float, ...]
    drops: int

    @property
    def cell(self) -> tuple[int, int, int]:
        """The size of the ring, the number of producers and the size of a record."""
        return self.ring_bytes, self.producers, self.record_bytes


@dataclass(frozen=True, kw_only=True)
class Load:
    """How one engine (a ring or queue) accounted for the records of a fixed load.

    `cell` names the ring and its producers; it is "all" when only sums over all cells are known.
    `error` is the number of records that were neither read nor counted as dropped, or that were
    both; errors of different rounds do not cancel. `found_garbage` means that a record was read
    with a wrong content.
    """

    engine: str
    cell: str
    made: int
    read: int
    drops: int
    error: int
    found_garbage: bool = False


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The figures of one run of the benchmark: the engines' costs, their loads, times of the lock.

    `clock_ns` is what one reading of the clock costs.
    """

    clock_ns: float
    costs: tuple[Cost, ...]
    loads: tuple[Load, ...]
    sections: contention.Sections | None = None


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One goal of the ring's speed or exactness, the measured figures, and whether it is reached.

    `held` is True when the figures reach the goal, False when they miss it, and None when the run
    could not measure it.
    """

    text: str
    figures: str
    held: bool | None


def parse(lines: Iterable[str]) -> Measured:
    """Return the figures in the JSON lines that bench_ring and with_lttng.sh have printed."""
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    of_kind: dict[str, list[Row]] = {}
    for row in rows:
        of_kind.setdefault(row.pop("kind"), []).append(row)
    loads = of_kind.get("load", [])
    lttng_made = sum(row["made"] for row in loads if row["engine"] == LTTNG)
    return Measured(
        clock_ns=sum(row["ns"] for row in of_kind.get("clock", [])),
        sections=next((contention.Sections(**row) for row in of_kind.get("sections", [])), None),
        costs=tuple(_cost(row) for row in of_kind.get("cost", [])),
        loads=(
            *(_load(row) for row in loads if row["engine"] != LTTNG),
            *(_lttng_load(row, made=lttng_made) for row in of_kind.get("lttng-load", [])),
        ),
    )


def _cost(row: Row) -> Cost:
    lists = {name: tuple(value) for name, value in row.items() if isinstance(value, list)}
    return Cost(**(row | lists))


def _lttng_load(row: Row, *, made: int) -> Load:
    drops = sum(count % _LTTNG_WRAPS for count in row["drops"])
    error = abs(made - row["read"] - drops)
    return Load(engine=LTTNG, cell="all", made=made, read=row["read"], drops=drops, error=error)


def _load(row: Row) -> Load:
    return Load(
        engine=row["engine"],
        cell=f"{row['record_bytes']} bytes, {place(row['ring_bytes'], row['producers'])}",
        made=row["made"],
        read=row["read"],
        drops=row["drops"],
        error=row["error"],
        found_garbage=row["found_garbage"],
    )


def place(ring_bytes: int, producers: int) -> str:
    """Return a ring's size and its number of producers as text: "ring of 1 MiB, 2 producers"."""
    return f"ring of {ring_bytes >> 20} MiB, {producers} producer{'s' if producers > 1 else ''}"


def interval(values: Sequence[float]) -> Interval:
    """Return the median of some values, with its bootstrap interval."""
    chance = random.Random(_SEED)  # noqa: S311 - resampling, no secret
    medians = sorted(
        statistics.median(chance.choices(values, k=len(values))) for _ in range(_RESAMPLES)
    )
    edge = _RESAMPLES // 40
    return Interval(median=statistics.median(values), low=medians[edge], high=medians[-1 - edge])


def ratio(one: Cost, other: Cost) -> Interval:
    """Return how many times as much a record costs with `one` as with `other`, with the interval.

    The ratio is taken within each round; both are costs of one cell, so they have the same rounds.
    """
    pairs = zip(one.batch_ns, other.batch_ns, strict=True)
    return interval([ours / theirs for ours, theirs in pairs])


def by_cell(measured: Measured) -> dict[tuple[int, int, int], dict[str, Cost]]:
    """Return the costs by cell (ring size, producers, record size), then by the engine's name."""
    cells: dict[tuple[int, int, int], dict[str, Cost]] = {}
    for one in measured.costs:
        cells.setdefault(one.cell, {})[one.engine] = one
    return cells


def goals(measured: Measured, limits: Sequence[contention.Limit] = ()) -> tuple[Goal, ...]:
    """Return the goals of the ring, each with whether this run's figures reach it.

    `limits` are the results of `contention.limits`; without them the goal for one lock counts as
    not measured.
    """
    ours = [one for one in measured.loads if one.engine == OURS]
    errors = sum(one.error for one in ours)
    exact = Goal(
        text="under every load, each attempt of our ring was read or counted as dropped",
        figures=f"{errors} of {sum(one.made for one in ours)} records",
        held=errors == 0 and not any(one.found_garbage for one in ours) if ours else None,
    )
    return (_near_the_floor(measured), _ahead_of_lttng(measured), exact, _one_lock(limits))


def _one_lock(limits: Sequence[contention.Limit]) -> Goal:
    rates = {one.cpus: one.records_per_s for one in limits}
    return Goal(
        text=f"one lock is enough for {_GOAL_RATE} records/s of {_GOAL_CPUS} CPUs, in the model",
        figures="; ".join(f"{cpus} CPUs {rate / 1e6:.1f} M/s" for cpus, rate in rates.items()),
        held=rates[_GOAL_CPUS] >= _GOAL_RATE if rates else None,
    )


def _single_producer(measured: Measured) -> dict[tuple[int, int, int], dict[str, Cost]]:
    return {cell: costs for cell, costs in by_cell(measured).items() if cell[1] == 1}


def _near_the_floor(measured: Measured) -> Goal:
    found = [
        ratio(costs[OURS], costs[FLOOR])
        for cell, costs in _single_producer(measured).items()
        if cell[2] == _GOAL_BYTES
    ]
    return Goal(
        text=f"{_GOAL_BYTES} bytes cost at most {_GOAL_RATIO} x the floor, for one producer",
        figures="; ".join(map(str, found)),
        held=all(one.median <= _GOAL_RATIO for one in found) if found else None,
    )


def _ahead_of_lttng(measured: Measured) -> Goal:
    found = [
        (cell, ratio(costs[OURS], costs[LTTNG]))
        for cell, costs in _single_producer(measured).items()
        if LTTNG in costs
    ]
    return Goal(
        text="a record costs less than with LTTng-UST at every size, for one producer",
        figures="; ".join(f"{cell[2]} bytes {one}" for cell, one in found),
        held=all(one.high < 1 for _, one in found) if found else None,
    )
