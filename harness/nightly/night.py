# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A night from the request to its files: choose and plan the cells, begin, resume, and report.

A cell is one combination of target, kernel, flavour and test set, or one build of the module.
"""

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.guest import registry
from harness.host import whole_file
from harness.model.request import Selection
from harness.model.settings import Settings, Verdict
from harness.nightly import cells, folders, plan, results, selection
from harness.nightly.database import History
from harness.nightly.room import Room
from harness.nightly.show import files, from_history
from harness.nightly.values import CellPoint, Night, PlannedCell
from harness.report import kcidb, run_report
from harness.runs import provenance

FULL = "full"
SHORT = "short"
_NOT_RESUMED = "the night was interrupted and not resumed"


@dataclass(frozen=True, kw_only=True)
class NightRequest:
    """What the user asks of a night: `form` is "full" or "short" and chooses the matrix of cells.

    `patterns` are globs for the ids of cells, () for every cell. `since` is a commit: only cells
    that use a file which has changed since then, "" for every cell. `only_failed` leaves only the
    cells that failed, crashed or were lost in their latest night. `budget_s` is the longest that
    the night may take. `long` runs all tests in their long form.
    """

    form: str
    budget_s: float
    long: bool = False
    patterns: tuple[str, ...] = ()
    since: str = ""
    only_failed: bool = False


def planned(
    settings: Settings, history: History, request: NightRequest, host: Room
) -> tuple[PlannedCell, ...]:
    """Return the cells that a night would run if it began now, in order, and those left out.

    `host` is the processors and memory of this host.
    Raises: UsageError when the chosen matrix has no cells, for a pattern that matches none, and
        for a `since` that git does not know.
    """
    matrix = settings.nightly.short if request.form == SHORT else settings.nightly.full
    wanted = cells.cells(settings, matrix, long=request.long)
    if not wanted:
        raise UsageError(
            f"the matrix of a {request.form} night has no cells",
            hint=f"{settings.file} needs a table [tool.harness.nightly.{request.form}]: "
            "docs/nightly.md",
        )
    if request.patterns:
        wanted = selection.named(wanted, request.patterns)
    if request.since:
        wanted = selection.changed(settings, wanted, request.since)
    points = _points(history)
    if request.only_failed:
        wanted = selection.failed(wanted, points)
    past = plan.known(points, _left_out(history))
    return plan.planned(settings, wanted, past, host, budget_s=request.budget_s)


def _points(history: History) -> tuple[CellPoint, ...]:
    return history.cell_points([night.id for night in history.nights(last=plan.NIGHTS)])


def _left_out(history: History) -> frozenset[str]:
    """Return the ids of the cells that were left out by the latest night that planned them."""
    latest: dict[str, bool] = {}
    for night in history.nights(last=plan.NIGHTS):
        for one in history.planned(night.id):
            latest[one.cell.id] = bool(one.left_out)
    return frozenset(cell for cell, left_out in latest.items() if left_out)


def begin(settings: Settings, history: History, form: str, chosen: Sequence[PlannedCell]) -> Night:
    """Record a new night with its plan, and return the night.

    Before that, end the nights that were interrupted and not resumed. The cells that such a night
    has not run are recorded as left out, and so come first in the next one.
    """
    for earlier in history.nights(last=plan.NIGHTS):
        if not earlier.ended_at:
            _give_up(history, earlier)
    found = new(settings, form)
    history.begin_night(found, chosen)
    return found


def new(settings: Settings, form: str) -> Night:
    """Return a value for a night that begins now, with a new id and this checkout's commit."""
    known = provenance.of_project(settings.root, Selection())
    return Night(
        id=registry.new_run_id(),
        started_at=results.now(),
        commit=known.commit,
        tree_changed=known.tree_changed,
        form=form,
        host=platform.node(),
    )


def _give_up(history: History, night: Night) -> None:
    done = history.verdicts(night.id)
    for one in history.planned(night.id):
        if one.cell.id not in done and not one.left_out:
            history.leave_out(night.id, one.cell.id, _NOT_RESUMED)
    history.end_night(night.id, results.now())


def unfinished(history: History) -> Night:
    """Return the latest night of the history if it was interrupted, so that it can be resumed.

    Raises: UsageError when it has ended, or when there is none.
    """
    latest = history.nights(last=1)
    if not latest:
        raise UsageError("no night can be resumed: there was none")
    if latest[0].ended_at:
        raise UsageError(
            f"no night can be resumed: the latest, {latest[0].id}, has ended",
            hint="`nightly --rerun-failed` runs its failed cells in a new night",
        )
    return latest[0]


def exit_code(history: History, night_id: str) -> int:
    """Return the worst exit code among a night's cells.

    When no cell has a result, it is the exit code of a lost run.
    """
    verdicts = history.verdicts(night_id).values()
    return max((one.exit_code for one in verdicts), default=Verdict.LOST.exit_code)


def write_files(settings: Settings, history: History, night_id: str) -> tuple[Path, ...]:
    """Write a night's report (page, mail, chat, annotations, feed), JUnit and KCIDB files.

    Return their paths.
    """
    folder = folders.of_night(settings, night_id)
    folder.mkdir(parents=True, exist_ok=True)
    found = history.results(night_id)
    # The first verdict of a cell stands; its repetitions only show how often it fails.
    reports = [results.as_report(one) for one in found if one.attempt == 0]
    junit, exchange = (folder / name for name in ("nightly.xml", "kcidb.json"))
    run_report.write_junit(reports, junit)
    merged = kcidb.merged(kcidb.render(results.as_report(one)) for one in found)
    whole_file.write(exchange, json.dumps(merged, indent=1) + "\n")
    morning = from_history.morning(history, project=settings.module.name, night_id=night_id)
    return (*files.write(morning, folder), junit, exchange)


def plan_rows(chosen: Sequence[PlannedCell]) -> tuple[str, ...]:
    """Return a plan as lines for a terminal: cell, expected minutes, and why it is left out.

    The last line has the number of the cells that run, and their minutes. A plan without cells is
    the line "no cell is to be run".
    """
    if not chosen:
        return ("no cell is to be run",)
    width = max(len(one.cell.id) for one in chosen)
    lines = [
        f"{one.cell.id:{width}}  {one.expected_s / 60:6.1f} min  {one.left_out}".rstrip()
        for one in chosen
    ]
    minutes = sum(one.expected_s for one in chosen if not one.left_out) / 60
    count = sum(not one.left_out for one in chosen)
    return (*lines, f"{count} cells, {minutes:.0f} min of work")
