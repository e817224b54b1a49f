# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Plan a night: which cells run, in which order, and which do not fit into the time budget.

A cell that an earlier night left out comes first. The others are started the longest first, so
that no long cell is alone at the end.
"""

import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from harness.model.settings import Settings, Verdict
from harness.nightly import cells, room
from harness.nightly.room import Room
from harness.nightly.values import Cell, CellPoint, PlannedCell

# The cost of a cell while nothing is known of it or of a similar one.
_UNKNOWN_S = 600.0
# The results from which the cost of a cell is taken, the latest ones.
_REMEMBERED = 5
# The number of nights from which costs and omissions are known.
NIGHTS = 20
OVER_BUDGET = "it does not fit into the night's budget"


@dataclass(frozen=True, kw_only=True)
class Known:
    """What earlier nights show of cells: their durations, last nights and omissions, by cell id.

    `costs_s` are durations of the latest results, the latest last. `left_out` are the cells that
    the latest plan with them left out, and `last_night` is the latest night with a result.
    """

    costs_s: Mapping[str, Sequence[float]]
    left_out: frozenset[str] = frozenset()
    last_night: Mapping[str, str]


def known(points: Sequence[CellPoint], left_out: frozenset[str]) -> Known:
    """Return what the results of earlier nights show of cells; `left_out` is stored unchanged.

    Only first attempts count. A result of a lost cell says nothing of the cell's duration.
    Shape: `points` are in order of time.
    """
    costs: dict[str, list[float]] = {}
    last: dict[str, str] = {}
    for point in points:
        if point.attempt == 0:
            last[point.cell] = point.night
            if point.verdict is not Verdict.LOST:
                costs.setdefault(point.cell, []).append(point.duration_s)
    return Known(costs_s=costs, left_out=left_out, last_night=last)


def expected_s(cell: Cell, past: Known, others: Sequence[Cell]) -> float:
    """Return how many seconds a cell is expected to take: the median of its latest 5 results.

    For a cell without results it is the median of those of `others` that are of the same kind and
    have the same tests, or 600 s when these have no results either.
    """
    own = past.costs_s.get(cell.id, ())
    if own:
        return median(own[-_REMEMBERED:])
    alike = [
        median(past.costs_s[one.id][-_REMEMBERED:])
        for one in others
        if one.id in past.costs_s and (one.kind, one.tests) == (cell.kind, cell.tests)
    ]
    return median(alike) if alike else _UNKNOWN_S


def planned(
    settings: Settings, wanted: Sequence[Cell], past: Known, host: Room, *, budget_s: float
) -> tuple[PlannedCell, ...]:
    """Return the plan of a night: first the cells that run, in order, then those left out.

    `past` is what earlier nights show, `host` the processors and memory of the host.
    Units: budget_s is seconds for the whole night.
    """
    costs = {cell.id: expected_s(cell, past, wanted) for cell in wanted}

    def urgency(cell: Cell) -> tuple[bool, str, float]:
        return (
            cell.id not in past.left_out,
            past.last_night.get(cell.id, ""),
            -costs[cell.id],
        )

    jobs = [
        Job(cell=cell, cost_s=costs[cell.id], room=room.needed(settings, cell))
        for cell in sorted(wanted, key=urgency)
    ]
    fitting = fitting_jobs(jobs, host, budget_s)
    running = sorted(
        (job for job in jobs if job.cell.id in fitting),
        key=lambda job: (job.cell.id not in past.left_out, -job.cost_s),
    )
    waiting = [job for job in jobs if job.cell.id not in fitting]
    return tuple(
        PlannedCell(
            cell=job.cell,
            position=position,
            expected_s=round(job.cost_s, 1),
            left_out="" if job.cell.id in fitting else OVER_BUDGET,
            command=cells.printed_command(settings, job.cell),
        )
        for position, job in enumerate((*running, *waiting))
    )


@dataclass(frozen=True, kw_only=True)
class Job:
    """A cell to be planned, its expected seconds, and the processors and memory it needs."""

    cell: Cell
    cost_s: float
    room: Room


def fitting_jobs(jobs: Sequence[Job], host: Room, budget_s: float) -> frozenset[str]:
    """Return the ids of the cells that end within the budget, when they are started in this order.

    The cells run side by side as far as the host's processors and memory allow.
    """
    number = itertools.count()
    running: list[tuple[float, int, Room]] = []
    now_s, taken, fitting = 0.0, room.NO_ROOM, set()
    for job in jobs:
        at_s, still, used = now_s, list(running), taken
        # A cell that needs more than the host has runs alone.
        while still and not (used + job.room).fits(host):
            at_s, _, freed = heapq.heappop(still)
            used = Room(
                cores=used.cores - freed.cores, memory_mib=used.memory_mib - freed.memory_mib
            )
        # A shorter cell further back may still fit.
        if at_s + job.cost_s > budget_s:
            continue
        heapq.heappush(still, (at_s + job.cost_s, next(number), job.room))
        now_s, running, taken = at_s, still, used + job.room
        fitting.add(job.cell.id)
    return frozenset(fitting)
