# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run one cell of a night's plan on this machine, and merge the result files of all machines.

A machine that runs a cell leaves an SQLite file of the same kind as the history of all nights,
with one night and one cell. Such files can be merged into the history in any order and any number
of times.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from harness.errors import HarnessError, UsageError
from harness.model.request import Selection
from harness.model.settings import Settings
from harness.nightly import cells, night, results, run
from harness.nightly.database import History, open_history
from harness.nightly.plan_file import PlanFile
from harness.nightly.run import Limits
from harness.nightly.values import PlannedCell
from harness.runs import provenance

# How a file with the result of a cell ends.
SUFFIX = ".result.db"

Say = Callable[[str], None]


def result_file(folder: Path, cell_id: str) -> Path:
    """Return the path in a folder at which the result of a cell is written.

    Its name is CELL-ID.result.db, with a + for each / of the id.
    """
    return folder / f"{cell_id.replace('/', '+')}{SUFFIX}"


def run_cell(
    settings: Settings, plan: PlanFile, cell_id: str, limits: Limits, *, to: Path, say: Say
) -> int:
    """Run one cell of a plan, write its result file into the folder `to`; return the exit code.

    A cell that fails or crashes is repeated as often as the configuration says. A cell whose
    result is in `to` already is not run again. The exit code is that of the cell's first result.
    Raises: UsageError when the plan has no such cell or leaves it out, and when the commit or the
        configuration of this checkout is not that of the plan.
    """
    planned = _chosen(settings, plan, cell_id)
    with open_history(result_file(to, cell_id)) as history:
        history.begin_night(plan.night, (planned,))
        run.run(settings, history, plan.night.id, limits, say)
        return night.exit_code(history, plan.night.id)


def _chosen(settings: Settings, plan: PlanFile, cell_id: str) -> PlannedCell:
    """Return a cell of a plan, after checking that this checkout can run it as planned.

    Raises: UsageError for an unknown or omitted cell, another commit, or another configuration.
    """
    found = next((one for one in plan.planned if one.cell.id == cell_id), None)
    if found is None:
        known = ", ".join(one.id for one in plan.running) or "none"
        raise UsageError(f"the plan has no cell {cell_id}", hint=f"cells: {known}")
    if found.left_out:
        raise UsageError(f"{cell_id} is left out of this night: {found.left_out}")
    here = provenance.of_project(settings.root, Selection()).commit
    if here and plan.night.commit and here != plan.night.commit:
        raise UsageError(
            f"the plan is of commit {plan.night.commit[:12]}, and this checkout of {here[:12]}",
            hint="check out the commit of the plan, or make another plan",
        )
    listed = next(one for one in plan.cells if one.id == cell_id)
    if _own_commands(settings).get(cell_id) != listed.command:
        raise UsageError(
            f"{settings.file} is not the configuration of the plan: it has another {cell_id}",
            hint="make another plan of this configuration",
        )
    return found


def _own_commands(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the task and options that run each cell of this configuration, by the cell's id."""
    return {
        one.id: cells.task_words(settings, one)
        for matrix in (settings.nightly.full, settings.nightly.short)
        for long in (False, True)
        for one in cells.cells(settings, matrix, long=long)
    }


def merge(history: History, plan: PlanFile, places: Iterable[Path], say: Say) -> None:
    """Record the results of other machines in the history of nights, and end the plan's night.

    `places` are files with results, and folders with such files at any depth. A result that is
    recorded already stays as it is. A cell without a result is recorded as lost, until its result
    arrives in another merge. A file that cannot be used is reported, and the others are merged.
    Raises: UsageError when a place does not exist.
    """
    # The night may have been planned on a machine with another history.
    history.begin_night(plan.night, plan.planned)
    for file in _files(places):
        _merge_file(history, plan, file, say)
    known = history.verdicts(plan.night.id)
    for one in plan.planned:
        if one.cell.id not in known and not one.left_out:
            history.record(results.missing(plan.night.id, one.cell.id, one.command))
    history.end_night(plan.night.id, results.now())
    for cell in history.missing(plan.night.id):
        say(f"{cell}: lost: no result of it arrived")


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            yield from sorted(place.rglob(f"*{SUFFIX}"))
        elif place.is_file():
            yield place
        else:
            raise UsageError(f"{place}: no such file or folder")


def _merge_file(history: History, plan: PlanFile, file: Path, say: Say) -> None:
    """Record the results of the plan's night from another machine's file; report each by `say`.

    A file that cannot be used, or that has no such result, is reported and skipped.
    """
    wanted = {one.id for one in plan.running}
    try:
        with open_history(file) as other:
            found = other.results(plan.night.id)
    except HarnessError as error:
        say(f"{file.name} is not merged: {error.message}")
        return
    usable = [one for one in found if one.cell in wanted]
    if not usable:
        say(f"{file.name} is not merged: it has no result of night {plan.night.id}")
    for one in usable:
        added = history.record(one)
        words = f"{one.verdict.value}, on {one.worker}" if added else "is in the history already"
        say(f"{one.cell}{f' (repetition {one.attempt})' if one.attempt else ''}: {words}")
