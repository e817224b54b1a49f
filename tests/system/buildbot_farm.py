# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A Buildbot master and its workers on loopback, for a test; it is no test itself.

Every process that belongs to the farm has a working folder below that of the farm, so all of
them can be found and ended, also those of a worker that was killed.
"""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from harness.nightly.engines.buildbot_steps import NIGHT
from tests.system.whole_run import ROOT

_BESIDE = Path(sys.executable).parent
_POLL_S = 0.3
_ANSWER_S = 60.0
_BUILDS = """
    SELECT builders.name, builds.buildrequestid, workers.name, builds.results, builds.number,
           builds.builderid
    FROM builds JOIN builders ON builders.id = builds.builderid
    JOIN workers ON workers.id = builds.workerid ORDER BY builds.id
"""
# FAILURE and EXCEPTION among the results of Buildbot.
_BAD = (2, 4)
_CONFIGURATION = """\
from harness.nightly.engines.buildbot_master import NightMaster, configuration

BuildmasterConfig = configuration(NightMaster(
    repository={repository!r},
    workers={workers!r},
    modlab=({python!r}, "-m", "harness.tasks"),
    web="tcp:{web}:interface=127.0.0.1",
    reports="tcp:{reports}:interface=127.0.0.1",
    workers_port="tcp:{pb}:interface=127.0.0.1",
    address="http://127.0.0.1:{web}/",
    report_address="http://127.0.0.1:{reports}/",
))
"""


class Build(NamedTuple):
    """One build: its cell or "night", its worker, and how it ended; None while it runs."""

    what: str
    request: int
    worker: str
    results: int | None
    number: int
    builder: int


class Farm:
    """A master with workers; every wait of it fails at the deadline of the whole farm."""

    def __init__(self, folder: Path, repository: Path, workers: list[str], end: float) -> None:
        self.folder = folder
        self.master = folder / "master"
        self._database = self.master / "state.sqlite"
        self._end = end
        web, reports, pb = _free_ports(3)
        self.address = f"http://127.0.0.1:{web}/"
        self.reports = f"http://127.0.0.1:{reports}/"
        self._tool("buildbot", "create-master", str(self.master))
        (self.master / "master.cfg").write_text(
            _CONFIGURATION.format(
                repository=str(repository),
                workers=dict.fromkeys(workers, "secret"),
                python=sys.executable,
                web=web,
                reports=reports,
                pb=pb,
            )
        )
        for name in workers:
            host = f"127.0.0.1:{pb}"
            words = ("create-worker", "--maxdelay=2", str(folder / name), host, name, "secret")
            self._tool("buildbot-worker", *words)

    def _tool(self, program: str, *words: str) -> None:
        subprocess.run(
            (_BESIDE / program, *words),
            check=True,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            timeout=120,
        )

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start the master or a worker."""
        program = "buildbot" if name == "master" else "buildbot-worker"
        with (self.folder / f"{name}.out").open("ab") as log:
            return subprocess.Popen(
                (_BESIDE / program, "start", "--nodaemon", str(self.folder / name)),
                cwd=self.folder / name,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

    def start_master(self) -> subprocess.Popen[bytes]:
        """Start the master, and wait until its web view answers."""
        process = self.start("master")
        while not self._answers(process):
            assert time.monotonic() < self._end, "the master does not answer"
            time.sleep(_POLL_S)
        return process

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, (self.folder / "master.out").read_text()[-3000:]
        try:
            return bool(read(f"{self.address}api/v2/workers"))
        except OSError:
            return False

    def wait(self, fits: Callable[[], Any], what: str) -> Any:
        """Return the first value that is true, or fail at the farm's deadline."""
        while not (found := fits()):
            assert time.monotonic() < self._end, f"waited for {what}: {self.builds()}"
            assert not any(one.results in _BAD for one in self.builds()), self.builds()
            time.sleep(_POLL_S)
        return found

    def force(self) -> None:
        """Push the button that begins a night."""
        found = json.loads(read(f"{self.address}api/v2/builders"))["builders"]
        builder = next(one["builderid"] for one in found if one["name"] == NIGHT)
        asked = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "force",
            "params": {"builderid": str(builder), "owner": "somebody"},
        }
        assert "result" in json.loads(read(f"{self.address}api/v2/forceschedulers/force", asked))

    def builds(self) -> list[Build]:
        """Return every build of the night and its cells, as the master's database has them."""
        if not self._database.is_file():
            return []
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as database:
            rows = database.execute(_BUILDS).fetchall()
        return [Build(*row) for row in rows]

    def running_cell(self, worker: str, cell: str) -> bool:
        """Return whether the process of a cell runs on a worker."""
        return any(cell in " ".join(words) for words in self._commands(self.folder / worker))

    def _commands(self, below: Path) -> Iterator[list[str]]:
        for process in self._processes(below):
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            if any("night_cell" in word for word in words):
                yield words

    def _processes(self, below: Path) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                if Path(process.cwd()).is_relative_to(below):
                    yield process
            except (psutil.Error, OSError):
                continue

    def end(self) -> None:
        """Kill every process of the farm."""
        for _ in range(3):
            for process in self._processes(self.folder):
                if process.pid != os.getpid():
                    process.send_signal(signal.SIGKILL)
            time.sleep(_POLL_S)


@contextmanager
def opened(
    folder: Path, repository: Path, workers: list[str], deadline_s: float
) -> Iterator[Farm]:
    """Give a farm that has not started; whatever happens, all its processes end."""
    folder.mkdir()
    farm = Farm(folder, repository, workers, time.monotonic() + deadline_s)
    try:
        yield farm
    finally:
        farm.end()


def read(address: str, sent: object = None) -> str:
    """Return what a web server on this machine answers; with `sent`, that is posted as JSON."""
    host, _, path = address.removeprefix("http://").partition("/")
    connection = HTTPConnection(host, timeout=_ANSWER_S)
    try:
        if sent is None:
            connection.request("GET", f"/{path}")
        else:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", f"/{path}", json.dumps(sent), headers)
        answer = connection.getresponse()
        assert answer.status == 200, f"{address}: {answer.status}"
        return answer.read().decode()
    finally:
        connection.close()


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody uses; all are held until the last one is known."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports
