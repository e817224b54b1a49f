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
    """Return the folder of the master with the plan and the results of a night.

    `number` is that of the build request, which is the same when its build is started again.
    """
    return Path(master.basedir, "nights", str(number))


@util.renderer
def night_path(properties: Any) -> str:
    """Return the folder of the night to which a build belongs."""
    return str(night_folder(properties.master, properties.getProperty("night")))


class Plan(buildstep.ShellMixin, buildstep.BuildStep):  # type: ignore[misc]
    """Make the plan of the night, unless an earlier start of this build has made it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**self.setupShellMixin(options, prohibitArgs=["stdioLogName"]))

    @defer.inlineCallbacks
    def run(self) -> Steps:
        """Write plan.json and the folder of the results on the master."""
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
    """Request every cell of the plan that has no result yet, and wait for all of them."""

    @defer.inlineCallbacks
    def run(self) -> Steps:
        """Withdraw what an earlier start of this build has requested, and request it again."""
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
        """Return a request for each cell that has no result on the master."""
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
    """Find out on which workers this cell was lost before, and give up after the second one."""

    @defer.inlineCallbacks
    def run(self) -> Steps:
        """Set the property `lost_on` to the names of these workers.

        They are also kept on the master, because a restart of it makes new requests.
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
    """The build of a night, which goes on after its master was stopped and started again."""

    def buildFinished(self, text: list[str], results: int) -> Any:  # noqa: N802 - Buildbot's name
        """End the build; one that the end of the master has cancelled is started again."""
        if results == CANCELLED and self.stopped_reason == _MASTER_STOPS:
            self.results = results = RETRY
        return super().buildFinished(text, results)


class Report(steps.ShellCommand):  # type: ignore[misc]
    """Write the report of the night where the master serves it, and link it in the web view."""

    def __init__(self, *, address: str, **options: Any) -> None:
        self._address = address
        super().__init__(**options)

    @defer.inlineCallbacks
    def run(self) -> Steps:
        """Write the files, and add the link to the page."""
        result = yield super().run()
        if result == SUCCESS:
            yield self.addURL("report", f"{self._address}{self.getProperty('night')}/nightly.html")
        return result
