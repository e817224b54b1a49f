# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of nightly.plan: costs from the history, the longest first, and what does not fit."""

from dataclasses import replace
from pathlib import Path

from harness.model.nights import MatrixSpec
from harness.model.settings import Verdict
from harness.nightly import cells, plan
from harness.nightly.plan import Job, Known
from harness.nightly.room import Room
from harness.nightly.values import Cell, CellPoint
from tests.unit.nightly.nights import CELL
from tests.unit.nightly.projects import settings

HOST = Room(cores=2, memory_mib=8192)
SMALL = MatrixSpec(targets=("small",), kernels=("6.1", "6.12"), flavours=("plain", "slub"))
NOTHING = Known(costs_s={}, last_night={})


def small_cells(root: Path) -> tuple[Cell, ...]:
    """Return four cells that need one processor each."""
    return cells.cells(settings(root), SMALL, long=False)


def point(cell: Cell, night: str, duration_s: float, verdict: Verdict) -> CellPoint:
    """Return a result of a cell."""
    return CellPoint(
        night=night,
        cell=cell.id,
        attempt=0,
        verdict=verdict,
        reason="",
        duration_s=duration_s,
        commit="",
        tree_changed=False,
        kernel_release="",
        kernel_version="",
        warnings=(),
        signatures=(),
        measures={},
    )


def test_the_cost_of_a_cell_is_the_median_of_its_last_results() -> None:
    """A cell is a target, kernel and tests; its expected duration leaves out lost runs, reruns."""
    old = [point(CELL, f"n{number}", 9000.0, Verdict.PASSED) for number in range(3)]
    new = [point(CELL, f"o{number}", 100.0 + number, Verdict.FAILED) for number in range(5)]
    lost = point(CELL, "p", 1.0, Verdict.LOST)
    again = replace(point(CELL, "q", 2.0, Verdict.PASSED), attempt=1)

    past = plan.known([*old, *new, lost, again], frozenset())

    assert plan.expected_s(CELL, past, [CELL]) == 102.0
    assert past.last_night == {CELL.id: "p"}


def test_a_cell_without_a_history_costs_what_cells_with_the_same_tests_cost() -> None:
    """The expected duration of tests on a new kernel is that of these tests on other kernels."""
    other = replace(CELL, kernel="6.12")
    unlike = replace(CELL, tests="smoke")
    past = plan.known([point(CELL, "n", 70.0, Verdict.PASSED)], frozenset())

    assert plan.expected_s(other, past, [CELL, other]) == 70.0
    assert plan.expected_s(unlike, past, [CELL, unlike]) == 600.0


def test_the_longest_cell_is_started_first(tmp_path: Path) -> None:
    """A night's plan begins with the target, kernel and tests of the longest expected duration."""
    wanted = small_cells(tmp_path)
    costs = {cell.id: [10.0 * number] for number, cell in enumerate(wanted, start=1)}
    past = Known(costs_s=costs, last_night={})

    found = plan.planned(settings(tmp_path), wanted, past, HOST, budget_s=3600.0)

    assert [one.expected_s for one in found] == [40.0, 30.0, 20.0, 10.0]
    assert [one.position for one in found] == [0, 1, 2, 3]
    assert not any(one.left_out for one in found)


def test_what_does_not_fit_is_named_and_comes_first_in_the_next_night(tmp_path: Path) -> None:
    """Of a night's matrix, what exceeds its time is left out and planned first next time."""
    wanted = small_cells(tmp_path)
    tight = {"budget_s": 700.0}

    first = plan.planned(settings(tmp_path), wanted, NOTHING, HOST, **tight)
    left = frozenset(one.cell.id for one in first if one.left_out)
    ran = {one.cell.id: "night-1" for one in first if not one.left_out}
    next_past = Known(costs_s={}, left_out=left, last_night=ran)
    second = plan.planned(settings(tmp_path), wanted, next_past, HOST, **tight)

    assert len(left) == 2
    assert {one.left_out for one in first if one.left_out} == {plan.OVER_BUDGET}
    assert {one.cell.id for one in second if not one.left_out} == left
    whole = plan.planned(settings(tmp_path), wanted, NOTHING, HOST, budget_s=1200.0)
    assert not any(one.left_out for one in whole)
    carried = plan.planned(settings(tmp_path), wanted, next_past, HOST, budget_s=1200.0)
    assert {one.cell.id for one in carried[:2]} == left


def test_cells_fit_side_by_side_only_where_processors_and_memory_suffice() -> None:
    """Cells that together need more CPUs or memory than the host has are planned in sequence."""

    def job(name: str, cost_s: float, room: Room) -> Job:
        return Job(cell=replace(CELL, kernel=name), cost_s=cost_s, room=room)

    small, big = Room(cores=1, memory_mib=1024), Room(cores=8, memory_mib=1024)
    wide = Room(cores=1, memory_mib=8000)
    jobs = (job("a", 100.0, small), job("b", 100.0, small), job("c", 100.0, wide))

    assert len(plan.fitting_jobs(jobs, HOST, 100.0)) == 2
    assert len(plan.fitting_jobs(jobs, HOST, 200.0)) == 3
    assert len(plan.fitting_jobs((job("d", 50.0, big), *jobs[:2]), HOST, 150.0)) == 3
    assert len(plan.fitting_jobs((job("d", 51.0, big), *jobs[:2]), HOST, 150.0)) == 1
