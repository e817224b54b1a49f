# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The configuration of a Buildbot master that runs the nights of one project.

The master itself plans, merges and reports; a worker runs one cell at a time. A host with room
for several cells runs several workers. docs/howto/spread-a-night.md begins with a master.cfg.
Source: Buildbot 4 manual, "Configuration".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildbot.plugins import schedulers, steps, util, worker
from buildbot.util import service
from twisted.application import strports
from twisted.internet import defer
from twisted.web import server, static

from harness.model.settings import LOOPBACK
from harness.nightly.engines import buildbot_steps
from harness.nightly.engines.buildbot_steps import CELL, CELLS, NIGHT, night_path

# The worker within the master, which has the history.
_HISTORY = "history"
_KEEPALIVE_S = 60
# What a cell has to end its guest before it is killed.
_ENDING_S = 120


@dataclass(frozen=True, kw_only=True)
class NightMaster:
    """The settings of a Buildbot master that runs the nights of one project.

    `repository` is the git address. `workers` are the passwords of the workers by their names.
    `modlab` is the command with which each host calls modlab in a checkout, and `options` are
    those of `nightly --plan`. `at` is the hour and the minute at which a night begins. `web`,
    `reports` and `workers_port` are where the master listens, in Twisted's syntax; `address` and
    `report_address` are the addresses at which browsers reach the first two.
    """

    repository: str
    workers: Mapping[str, str]
    branch: str = "main"
    modlab: tuple[str, ...] = ("modlab",)
    options: tuple[str, ...] = ()
    at: tuple[int, int] = (22, 0)
    web: str = f"tcp:8010:interface={LOOPBACK}"
    reports: str = f"tcp:8011:interface={LOOPBACK}"
    workers_port: str = "tcp:9989"
    address: str = "http://localhost:8010/"
    report_address: str = "http://localhost:8011/"
    title: str = "modlab"


def configuration(asked: NightMaster) -> dict[str, Any]:
    """Return the dictionary that master.cfg assigns to BuildmasterConfig."""
    names = sorted(asked.workers)
    return {
        "title": asked.title,
        "titleURL": asked.report_address,
        "buildbotURL": asked.address,
        # By default Buildbot sends figures about its use to its makers.
        "buildbotNetUsageData": None,
        "db": {"db_url": "sqlite:///state.sqlite"},
        "protocols": {"pb": {"port": asked.workers_port}},
        "www": {"port": asked.web, "plugins": {}},
        "services": [Reports(listen=asked.reports)],
        "workers": [
            worker.LocalWorker(_HISTORY),
            *(
                worker.Worker(name, asked.workers[name], keepalive_interval=_KEEPALIVE_S)
                for name in names
            ),
        ],
        "schedulers": _schedulers(asked),
        "builders": [
            util.BuilderConfig(name=NIGHT, workernames=[_HISTORY], factory=_night(asked)),
            util.BuilderConfig(
                name=CELL,
                workernames=names,
                factory=_cell(asked),
                # Requests of different cells are never one.
                collapseRequests=False,
                canStartBuild=_is_fit,
            ),
        ],
    }


def _schedulers(asked: NightMaster) -> list[Any]:
    """Return the schedulers: a daily one and a button for the night, a third for its cells."""
    hour, minute = asked.at
    night = {"builderNames": [NIGHT], "codebases": {"": _codebase(asked)}}
    return [
        schedulers.Nightly(name="nightly", hour=hour, minute=minute, **night),
        schedulers.ForceScheduler(
            name="force",
            label="run a night now",
            builderNames=[NIGHT],
            codebases=[util.CodebaseParameter("", **_forced(asked))],
        ),
        schedulers.Triggerable(name=CELLS, builderNames=[CELL]),
    ]


def _codebase(asked: NightMaster) -> dict[str, str | None]:
    return {"repository": asked.repository, "branch": asked.branch, "revision": None}


def _forced(asked: NightMaster) -> dict[str, Any]:
    return {
        # A fixed parameter has no field in the form; the night has one project and one repository.
        "project": util.FixedParameter(name="project", default=""),
        "repository": util.FixedParameter(name="repository", default=asked.repository),
        "branch": util.StringParameter(name="branch", default=asked.branch),
        "revision": util.StringParameter(name="revision", default=""),
    }


def _checkout(asked: NightMaster) -> Any:
    return steps.Git(
        name="check out", repourl=asked.repository, branch=asked.branch, mode="incremental"
    )


# No step below logs its environment: a worker's variables may hold secrets, and the reports and
# the web interface need no login.
def _night(asked: NightMaster) -> Any:
    """Return the build steps of a night: plan, run the cells, merge their results, report."""
    plan = util.Interpolate("--plan=%(kw:folder)s/plan.json", folder=night_path)
    results = util.Interpolate("%(kw:folder)s/results", folder=night_path)
    served = util.Interpolate("--to=%(kw:folder)s", folder=_report_path)
    factory = util.BuildFactory(
        [
            _checkout(asked),
            buildbot_steps.Plan(
                name="plan",
                command=[*asked.modlab, "nightly", "--plan=json", *asked.options],
                logEnviron=False,
                haltOnFailure=True,
            ),
            buildbot_steps.RunCells(
                name="run the cells",
                schedulerNames=[CELLS],
                waitForFinish=True,
                # Failed and lost cells belong to the report.
                haltOnFailure=False,
            ),
            steps.ShellCommand(
                name="merge",
                command=[*asked.modlab, "nightly-merge", results, plan],
                logEnviron=False,
            ),
            buildbot_steps.Report(
                name="report",
                command=[
                    *asked.modlab,
                    "nightly-report",
                    served,
                    f"--address={asked.report_address}",
                ],
                address=asked.report_address,
                logEnviron=False,
            ),
        ]
    )
    factory.buildClass = buildbot_steps.NightBuild
    return factory


def _cell(asked: NightMaster) -> Any:
    """Return the build steps of a cell: count lost tries, run the cell, upload its result file."""
    return util.BuildFactory(
        [
            buildbot_steps.LostTries(name="earlier tries", haltOnFailure=True),
            _checkout(asked),
            steps.FileDownload(
                name="fetch the plan",
                mastersrc=util.Interpolate("%(kw:folder)s/plan.json", folder=night_path),
                workerdest=util.Interpolate("plan-%(prop:night)s.json"),
                haltOnFailure=True,
            ),
            steps.ShellCommand(
                name="run",
                command=[*asked.modlab, "nightly-cell", util.Property("cell"), _cell_options],
                # The cell has its own deadline, and waits for room as long as it must.
                timeout=None,
                interruptSignal="TERM",
                sigtermTime=_ENDING_S,
                logEnviron=False,
            ),
            steps.FileUpload(
                name="return the result",
                workersrc=util.Interpolate(
                    "results/%(prop:night)s-%(prop:buildnumber)s/%(prop:result)s"
                ),
                masterdest=util.Interpolate(
                    "%(kw:folder)s/results/%(prop:result)s", folder=night_path
                ),
            ),
        ]
    )


@util.renderer
def _cell_options(properties: Any) -> list[str]:
    """Return the options that the command `nightly-cell` gets in a Buildbot build."""
    number = properties.getProperty("night")
    return [
        f"--plan=plan-{number}.json",
        # An earlier build of the cell on this worker may have left a result of its own.
        f"--to=results/{number}-{properties.getProperty('buildnumber')}",
        f"--worker={properties.getProperty('workername')}",
        *(f"--lost-on={name}" for name in properties.getProperty("lost_on", [])),
    ]


@util.renderer
def _report_path(properties: Any) -> str:
    """Return the folder from which the master serves the report of a build's night."""
    return str(_reports(properties.master) / str(properties.getProperty("night")))


def _reports(master: Any) -> Path:
    return Path(master.basedir, "reports")


@defer.inlineCallbacks
def _is_fit(builder: Any, offered: Any, request: Any) -> buildbot_steps.Steps:
    """Return whether Buildbot may give a cell's request to the offered worker.

    A worker that was lost while it ran this cell gets it again only if the cell was lost on every
    other worker, too.
    """
    lost = yield buildbot_steps.lost_workers(builder.master, request.id)
    if offered.worker.workername not in lost:
        return True
    others = [one.worker for one in builder.workers]
    return all(other.workername in lost for other in others)


class Reports(service.BuildbotService):  # type: ignore[misc]
    """A service of the master: serve the reports of all nights over HTTP, without a login."""

    name = "reports"

    @defer.inlineCallbacks
    def reconfigService(self, listen: str) -> buildbot_steps.Steps:  # noqa: N802 - Buildbot's name
        """Listen at the Twisted endpoint `listen`; an earlier endpoint is closed first."""
        for earlier in list(self.services):
            yield earlier.disownServiceParent()
        folder = _reports(self.master)
        folder.mkdir(exist_ok=True)
        # Twisted says that it is typed, and these parts are not.
        site: Any = server.Site(static.File(str(folder)))  # type: ignore[no-untyped-call]
        served: Any = strports.service(listen, site)
        yield served.setServiceParent(self)
