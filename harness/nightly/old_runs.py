# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Import the folders of earlier runs into the nightly history: the runs of one day are one night.

A run is imported when it is a run of a cell: a target, kernel, flavour and test set, or a build of
the module, that the configuration has. Runs of single tests and of commands are no runs of a cell.
"""

from collections.abc import Iterator
from pathlib import Path

from harness.model.machines import MachineChange
from harness.model.nights import ALL, PLAIN, CellSpec, TestSetSpec
from harness.model.settings import RunReport, Settings
from harness.nightly import cells, results
from harness.nightly.database import History
from harness.nightly.results import Attempt
from harness.nightly.values import Cell, Night
from harness.report import history as run_history

# The end of the id of an imported night, which comes before the other nights of its day.
_OLD = "-000000-old"


def take_in(settings: Settings, history: History, runs: Path) -> Iterator[str]:
    """Record earlier runs in the history, oldest first, and yield a line on each for the user.

    `runs` is the folder that holds a folder for each run. A second run of a cell on the same day
    counts as a repetition. What is recorded already is not recorded again.
    """
    nights = {night.id for night in history.nights()}
    for report in run_history.runs(runs):
        if history.has_run(report.run_id):
            yield f"{report.run_id}: is in the history already"
            continue
        cell = _cell(settings, report)
        if cell is None:
            yield f"{report.run_id}: skipped; it was no run of a cell of this configuration"
            continue
        night = _night(report)
        if night.id not in nights:
            history.begin_night(night, ())
            nights.add(night.id)
        earlier = [one for one in history.cell_points([night.id]) if one.cell == cell.id]
        attempt = Attempt(
            night=night.id,
            cell=cell.id,
            attempt=len(earlier),
            command=cells.printed_command(settings, cell),
        )
        history.record(results.of_report(report, attempt), cell)
        yield f"{report.run_id}: {cell.id}, {report.verdict.value}"


def _night(report: RunReport) -> Night:
    day = report.started_at[:10]
    return Night(
        id=day.replace("-", "") + _OLD,
        started_at=f"{day}T00:00:00+00:00",
        ended_at=f"{day}T23:59:59+00:00",
        imported=True,
    )


def _cell(settings: Settings, report: RunReport) -> Cell | None:
    """Return the cell that a run's target, kernel, flavour and tests match, None without one.

    A run that built the module for a kernel of the table `builds` matches the cell of that build.
    """
    known = report.provenance
    if report.target in settings.builds and known.kernel == report.target:
        return cells.build_cell(settings, report.target)
    tests, flavour = _test_set(settings, report), _flavour(settings, known.machine)
    has_target = report.target in settings.targets
    if not has_target or known.kernel not in settings.kernels or not tests or not flavour:
        return None
    spec = CellSpec(target=report.target, kernel=known.kernel, flavour=flavour, tests=tests)
    return cells.of_spec(settings, spec, long=False)


def _test_set(settings: Settings, report: RunReport) -> str:
    """Return the name of the configured test set that a run ran, "" if it ran other tests."""
    known = report.provenance
    if known.command:
        return ""
    crash = known.groups == ("crash",)
    ran = TestSetSpec(tests=known.tests, k=known.expression, crash=crash)
    sets = {ALL: TestSetSpec(), **settings.nightly.sets}
    return next((name for name, spec in sets.items() if spec == ran), "")


def _flavour(settings: Settings, machine: MachineChange) -> str:
    """Return the name of the flavour whose kernel command line a run had, "" if there is none."""
    flavours = {PLAIN: "", **settings.nightly.flavours}
    known = {MachineChange(append=words): name for name, words in flavours.items()}
    return known.get(machine, "")
