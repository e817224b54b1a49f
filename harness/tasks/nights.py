# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tasks about nights: plan and run one, run one of its cells, merge results, report, bisect."""

import json
import math
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.tasks.common import RUN_HELP, TaskContext, task
from harness.tasks.options import (
    NIGHT_IMPORTED,
    NIGHT_PLANNED,
    NIGHT_RESUMED,
    NIGHT_RUN,
    check_options,
)

if TYPE_CHECKING:
    from harness.nightly.database import History
    from harness.nightly.night import NightRequest
    from harness.nightly.run import Limits

_PLANS = ("table", "json")


@task(
    iterable=["cells"],
    options_help={
        "plan": "print the plan and run nothing: table, or json for other programs",
        "short": "run the short matrix instead of the full one",
        "long": RUN_HELP["long"],
        "cells": "run only cells with such an id, for example 'test/*/6.12*' (may be repeated)",
        "since": "run only cells that use a file which has changed since this commit",
        "rerun-failed": "run only cells whose latest verdict is neither passed nor skipped",
        "resume": "go on with the latest night, which was interrupted or killed",
        "budget": "seconds for the night (default: budget_s of the configuration)",
        "deadline": "seconds for one cell (default: deadline_s of the configuration)",
        "cores": "use no more processors than these (default: all)",
        "import-runs": "take the folders of old runs into the history, and run nothing",
    },
)
def nightly(  # noqa: PLR0913, PLR0917
    context: TaskContext,
    plan: str = "",
    short: bool = False,
    long: bool = False,
    cells: list[str] | None = None,
    since: str = "",
    rerun_failed: bool = False,
    resume: bool = False,
    budget: float = 0.0,
    deadline: float = 0.0,
    cores: int = 0,
    import_runs: bool = False,
) -> int:
    """Run every cell of the night's matrix, several at a time if they fit, and record all results.

    A cell is a target with a kernel, a flavour and a test set, or a kernel to build the module
    for; [tool.harness.nightly] says which there are. Each is a command of its own, longest first,
    and its result goes into build/nightly/history.db at once. A night that was killed is resumed
    without running a finished cell again. What does not fit into the budget is named, and comes
    first in the next night. docs/nightly.md begins with a first plan.
    """
    from harness.nightly.database import history_file, open_history
    from harness.nightly.night import FULL, SHORT, NightRequest

    spec = context.settings.nightly
    request = NightRequest(
        form=SHORT if short else FULL,
        budget_s=budget or spec.budget_s,
        long=long,
        patterns=tuple(cells or ()),
        since=since,
        only_failed=rerun_failed,
    )
    with open_history(history_file(context.settings)) as history:
        if import_runs:
            check_options(NIGHT_IMPORTED, context.given)
            return _import(context, history)
        if plan:
            check_options(NIGHT_PLANNED, context.given)
            return _print_plan(context, history, request, form=plan, cores=cores)
        check_options(NIGHT_RESUMED if resume else NIGHT_RUN, context.given)
        deadline_s = deadline or spec.deadline_s
        limits = _limits(context, request.budget_s, deadline_s, cores)
        return _run(context, history, None if resume else request, limits)


@task(
    positional=["cell"],
    iterable=["lost_on"],
    options_help={
        "cell": "the id of the cell",
        "plan": "the file with the plan, which `nightly --plan json` printed",
        "to": "the folder for the result",
        "worker": "the name of this machine in the report (default: its host name)",
        "lost-on": "a machine that was lost while it ran this cell before (may be repeated)",
        "cores": "use no more processors than these (default: all)",
    },
)
def nightly_cell(  # noqa: PLR0913, PLR0917
    context: TaskContext,
    cell: str,
    plan: str = "plan.json",
    to: str = "results",
    worker: str = "",
    lost_on: list[str] | None = None,
    cores: int = 0,
) -> int:
    """Run one cell of a plan on this machine, and leave a result that nightly-merge takes.

    The cell waits until this machine has room for it. The exit code is that of the cell.
    docs/howto/spread-a-night.md shows how schedulers use this.
    """
    from harness.nightly import elsewhere, plan_file

    found = plan_file.read(Path(plan))
    limits = replace(
        # The plan has applied the budget already: it left out the cells that do not fit.
        _limits(context, math.inf, found.deadline_s, cores),
        worker=worker or platform.node(),
        lost_on=tuple(lost_on or ()),
    )
    return elsewhere.run_cell(context.settings, found, cell, limits, to=Path(to), say=_say)


@task(
    word="place",
    iterable=["place"],
    options_help={
        "place": "a result of nightly-cell, or a folder of them (default: the folder results)",
        "plan": "the file with the plan",
    },
)
def nightly_merge(
    context: TaskContext, place: list[str] | None = None, plan: str = "plan.json"
) -> int:
    """Take the results of other machines into the history, judge the night, and write its page.

    A result that is merged twice counts once. A cell without a result is lost, until its result is
    merged later. The exit code is that of the worst cell.
    """
    from harness.nightly import elsewhere, night, plan_file, run
    from harness.nightly.database import history_file, open_history

    settings, found = context.settings, plan_file.read(Path(plan))
    places = [Path(one) for one in place or ["results"]]
    # A night that runs here at this time judges and writes the same files.
    with run.only_night(settings), open_history(history_file(settings)) as history:
        elsewhere.merge(history, found, places, _say)
        print(*night.write_files(settings, history, found.night.id), sep="\n")
        return night.exit_code(history, found.night.id)


@task(
    iterable=["tag"],
    options_help={
        "plan": "the file with the plan",
        "tag": "a tag of the runners (may be repeated; default: kvm)",
    },
)
def nightly_gitlab(
    _context: TaskContext, plan: str = "plan.json", tag: list[str] | None = None
) -> int:
    """Print the child pipeline with which GitLab runs the cells of a plan and merges them.

    docs/howto/spread-a-night.md has the parent pipeline.
    """
    from harness.nightly import plan_file
    from harness.nightly.engines import gitlab

    pipeline = gitlab.pipeline(plan_file.read(Path(plan)), tuple(tag or ("kvm",)))
    # Every JSON text is YAML.
    print(json.dumps(pipeline, indent=1))
    return 0


@task(
    word="night",
    options_help={
        "night": "which night, by its id (default: the latest)",
        "nights": "how many nights are judged and shown (default: 60)",
        "to": "the folder of the files (default: that of the night, in build/nightly)",
        "address": "where the page will be found, for the links in mail, chat and feed",
    },
)
def nightly_report(
    context: TaskContext, night: str = "", nights: int = 0, to: str = "", address: str = ""
) -> int:
    """Judge a night against the nights before it, and write its page, mail, chat and feed.

    `nightly` writes the same at its end. docs/howto/read-the-nightly.md explains the findings.
    """
    from harness.nightly import folders
    from harness.nightly.database import history_file, open_history
    from harness.nightly.show import digest, files, from_history

    settings = context.settings
    with open_history(history_file(settings)) as history:
        morning = from_history.morning(
            history,
            project=settings.module.name,
            last=nights or from_history.NIGHTS,
            night_id=night,
            address=address,
        )
        latest = night or history.nights(last=1)[0].id
    folder = Path(to) if to else folders.of_night(settings, latest)
    written = files.write(morning, folder)
    print(digest.chat(morning), *written, sep="\n")
    return 0


@task(short_flags=True)
def nightly_bisect(context: TaskContext) -> int:
    """Find the commits behind the failures of the latest night; each step is one run.

    `nightly` does the same at its end, while its budget lasts. Failures without a crash or a
    failing test are left out, and so are those for which the kernel changed, too. The answers are
    in the page of the night.
    """
    from harness.nightly import night
    from harness.nightly.database import history_file, open_history

    settings = context.settings
    with open_history(history_file(settings)) as history:
        if not _bisect(context, history):
            print("no failure was bisected")
            return 0
        latest = history.nights(last=1)[0].id
        print(*night.write_files(settings, history, latest), sep="\n")
    return 0


def _bisect(context: TaskContext, history: "History") -> int:
    """Find the commits behind the latest night's failures that have not been searched for yet.

    Return how many commits were found.
    """
    from harness.nightly import bisections
    from harness.nightly.show import from_history
    from harness.tasks.requests import request_from

    morning = from_history.morning(history, project=context.settings.module.name)
    if not bisections.due(morning):
        return 0
    with context.view() as view:
        return bisections.run(morning, history, request_from(context, {}), view, _say)


def _limits(context: TaskContext, budget_s: float, deadline_s: float, cores: int) -> "Limits":
    from harness.nightly import room
    from harness.nightly.run import Limits

    return Limits(
        budget_s=budget_s,
        deadline_s=deadline_s,
        host=room.of_host(cores),
        runtime=context.environment.runtime,
        worker=platform.node(),
    )


def _print_plan(
    context: TaskContext, history: "History", request: "NightRequest", *, form: str, cores: int
) -> int:
    """Print the plan of a night that would begin now, as a table or as JSON, and return 0.

    Raises: UsageError for another form.
    """
    from harness.nightly import night, plan_file, room

    if form not in _PLANS:
        raise UsageError(f"--plan {form}: {' or '.join(_PLANS)} is expected")
    chosen = night.planned(context.settings, history, request, room.of_host(cores))
    if form == "json":
        found = night.new(context.settings, request.form)
        plan = plan_file.of_night(context.settings, found, chosen, budget_s=request.budget_s)
        print(plan_file.text(plan))
    else:
        print("\n".join(night.plan_rows(chosen)))
    return 0


def _run(
    context: TaskContext, history: "History", request: "NightRequest | None", limits: "Limits"
) -> int:
    """Run a new night, or continue the latest one when `request` is None; return the exit code."""
    from harness import hints
    from harness.nightly import night, run

    settings = context.settings
    begun = time.monotonic()
    with run.only_night(settings):
        if request is None:
            found = night.unfinished(history)
        else:
            chosen = night.planned(settings, history, request, limits.host)
            if not chosen:
                print("no cell is to be run")
                return 0
            found = night.begin(settings, history, request.form, chosen)
            print("\n".join(night.plan_rows(chosen)), flush=True)
        try:
            run.run(settings, history, found.id, limits, _say)
        except KeyboardInterrupt:
            print(f"the night can go on: {hints.command('nightly', '--resume')}")
            raise
        print(*night.write_files(settings, history, found.id), sep="\n", flush=True)
        # The page is there before the bisections, which may take hours.
        if time.monotonic() - begun < limits.budget_s and _bisect(context, history):
            night.write_files(settings, history, found.id)
        return night.exit_code(history, found.id)


def _import(context: TaskContext, history: "History") -> int:
    """Add the runs in build/runs to the history, print a line on each, and return 0."""
    from harness.nightly import old_runs

    for line in old_runs.take_in(context.settings, history, context.runs):
        print(line, flush=True)
    return 0


def _say(text: str) -> None:
    print(text, flush=True)
