# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The steps of a Buildbot master that runs nights: plan, run every cell, report.

A build that loses its worker, or its master, is started again by Buildbot. Each step therefore
looks at what an earlier start of the same request has left in the master's folder.
Source: Buildbot 4 manual, "Writing New BuildSteps".
"""

from collections.abc import Generator
from pathlib import Path
from typing import Any

from buildbot.data.resultspec import Filter
from buildbot.plugins import steps, util
from buildbot.process import buildstep
from buildbot.process.build import Build
from buildbot.process.results import CANCELLED, FAILURE, RETRY, SUCCESS
from twisted.internet import defer

from harness.host import whole_file
from harness.nightly import elsewhere, plan_file

# The names of the builders and the scheduler, as the web view shows them.
NIGHT, CELL, CELLS = "night", "cell", "cells"
# A cell whose workers were lost so often is not started again.
_MOST_LOSSES = 2
# What Buildbot writes into a build whose worker was lost, and why it stops builds at its own end.
_CONNECTION_LOST = "lost connection"
_MASTER_STOPS = "Master Shutdown"

Steps = Generator[Any, Any, Any]


def night_folder(master: Any, number: int) -> Path:
    """Return the folder on the master that holds the plan and the results of one night.

    `number` is the id of the build request, which is the same when its build is started again.
    """
    return Path(master.basedir, "nights", str(number))


@util.renderer
def night_path(properties: Any) -> str:
    """Return the folder on the master that holds the plan and results of a build's night."""
    return str(night_folder(properties.master, properties.getProperty("night")))


class Plan(buildstep.ShellMixin, buildstep.BuildStep):  # type: ignore[misc]
    """A build step: make the night's plan, unless an earlier start of this build made it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**self.setupShellMixin(options, prohibitArgs=["stdioLogName"]))

    @defer.inlineCallbacks
    def run(self) -> Steps:
        """Run the plan command on a worker, and write its output to plan.json on the master.

        It also sets the property `night` and makes the folder for the results of cells. If
        plan.json is there already, the command is not run. The result is FAILURE if the command
        fails, else SUCCESS.
        """
        number = self.build.requests[0].id
        self.setProperty("night", number, "night")
        folder = night_folder(self.master, number)
        if (folder / "plan.json").is_file():
            self.descriptionDone = ["plan of an earlier start"]
            return SUCCESS
        command = yield self.makeRemoteShellCommand(collectStdout=True)
        yield self.runCommand(command)
        if command.didFail():
            return FAILURE
        (folder / "results").mkdir(parents=True, exist_ok=True)
        whole_file.write(folder / "plan.json", command.stdout)
        return SUCCESS


class RunCells(steps.Trigger):  # type: ignore[misc]
    """A build step: request every cell of the plan without a result, and wait for all."""

    @defer.inlineCallbacks
    def run(self) -> Steps:
        """Cancel requests that an earlier start of this build left, and request the cells."""
        cells = yield self.master.data.updates.findBuilderId(CELL)
        requested = yield self.master.data.get(
            ("builders", cells, "buildrequests"), filters=[Filter("complete", "eq", [False])]
        )
        for one in requested:
            known = yield self.master.data.get(("buildsets", one["buildsetid"], "properties"))
            if known.get("night", ("",))[0] == self.getProperty("night"):
                reason = {"reason": "the master was started again"}
                key = ("buildrequests", one["buildrequestid"])
                yield self.master.data.control("cancel", reason, key)
        return (yield super().run())

    def getSchedulersAndProperties(self) -> list[dict[str, Any]]:  # noqa: N802 - Buildbot's name
        """Return a trigger for each cell of the plan that has no result file on the master."""
        number = self.getProperty("night")
        folder = night_folder(self.master, number)
        return [
            {
                "sched_name": CELLS,
                "unimportant": False,
                "props_to_set": {
                    "cell": one.id,
                    "night": number,
                    "result": elsewhere.result_file(Path(), one.id).name,
                    # The web view then has the builds of each cell under its name.
                    "virtual_builder_name": one.id,
                    "virtual_builder_tags": ["cell", one.kernel],
                },
            }
            for one in plan_file.read(folder / "plan.json").running
            if not elsewhere.result_file(folder / "results", one.id).is_file()
        ]


class LostTries(buildstep.BuildStep):  # type: ignore[misc]
    """A build step: find the workers on which a cell was lost, and fail if there are two."""

    @defer.inlineCallbacks
    def run(self) -> Steps:
        """Set the property `lost_on` to the workers that were lost while they ran this cell.

        The names are also kept in a file on the master, because a restart of the master makes new
        requests.
        """
        folder = night_folder(self.master, self.getProperty("night"))
        file = folder / "lost" / f"{self.getProperty('result')}.txt"
        known = file.read_text().splitlines() if file.is_file() else []
        now = yield lost_workers(self.master, self.build.requests[0].id)
        lost = [*known, *(name for name in now if name not in known)]
        if lost:
            file.parent.mkdir(exist_ok=True)
            whole_file.write(file, "\n".join(lost))
        self.setProperty("lost_on", lost, "night")
        if len(lost) < _MOST_LOSSES:
            return SUCCESS
        self.descriptionDone = [f"lost on {' and '.join(lost)}: it is not started again"]
        return FAILURE


@defer.inlineCallbacks
def lost_workers(master: Any, request: int) -> Steps:
    """Return the names of the workers that were lost while they ran a build request."""
    builds = yield master.data.get(
        ("buildrequests", request, "builds"), filters=[Filter("results", "eq", [RETRY])]
    )
    names = []
    for one in sorted(builds, key=lambda build: int(build["number"])):
        # A build that its master left behind has the same result, and its worker is well.
        if _CONNECTION_LOST in one["state_string"]:
            worker = yield master.data.get(("workers", one["workerid"]))
            names.append(str(worker["name"]))
    return names


class NightBuild(Build):  # type: ignore[misc]
    """The build of a night; Buildbot repeats it if the master is shut down meanwhile."""

    def buildFinished(self, text: list[str], results: int) -> Any:  # noqa: N802 - Buildbot's name
        """End the build; if the master's shutdown cancelled it, its result is RETRY."""
        if results == CANCELLED and self.stopped_reason == _MASTER_STOPS:
            self.results = results = RETRY
        return super().buildFinished(text, results)


class Report(steps.ShellCommand):  # type: ignore[misc]
    """A build step: write the night's report, and link its page in Buildbot's web view."""

    def __init__(self, *, address: str, **options: Any) -> None:
        self._address = address
        super().__init__(**options)

    @defer.inlineCallbacks
    def run(self) -> Steps:
        """Run the command `nightly-report`, and add the link if it succeeds."""
        result = yield super().run()
        if result == SUCCESS:
            yield self.addURL("report", f"{self._address}{self.getProperty('night')}/nightly.html")
        return result
