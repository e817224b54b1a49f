# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A night survives SIGKILL of its planner, its workers and its cells at any moment.

The cells are real processes that leave real reports and cost a second each.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from harness.host import config
from harness.model.settings import Verdict
from harness.nightly.database import history_file, open_history
from harness.nightly.worker import MOST_STARTS
from harness.report import run_report
from tests import night_project
from tests.system.night_cell import LIMIT
from tests.system.whole_run import RUNTIME

KILLS = Counter(planner=7, worker=7, cell=6)
# It names the order of the victims; the moments also depend on the machine.
SEED = 22
CELLS = 24
_DEADLINE_S = 480.0
_WORKER = "harness.nightly.worker"
# The seconds in the life of a process within which it is killed. A planner takes long to start.
_LIVES_S = {"planner": 6.0, "worker": 2.0, "cell": 1.0}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a project with 24 cells, each of which is a process of a second."""
    flavours = {f"f{number:02}": f"x=f{number:02}" for number in range(CELLS)}
    return night_project.make(tmp_path / "project", flavours)


class Killer:
    """Starts planners, and kills planners, workers and cells at random moments."""

    def __init__(self, root: Path, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - nothing secret
        self.root = root
        self.kinds = list(KILLS.elements())
        self.random.shuffle(self.kinds)
        self.log = root / "planners.log"
        self.allow_results()
        self.planner = self.start("nightly")

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a planner."""
        line = [sys.executable, "-m", "harness.tasks", *words]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                line,
                cwd=self.root,
                stdout=log,
                stderr=log,
                # Guests of other runs on this machine leave no room for a second cell.
                env={**os.environ, "XDG_RUNTIME_DIR": str(RUNTIME)},
            )

    def allow_results(self) -> None:
        """Allow the cells as many results as processes were killed; then all of them.

        The night would come to its end before the last kill if its cells could outrun the kills.
        """
        killed = KILLS.total() - len(self.kinds)
        whole = self.root / f"{LIMIT}.new"
        whole.write_text(str(killed if self.kinds else CELLS))
        whole.replace(self.root / LIMIT)

    def go_on(self) -> bool:
        """Start another planner for one that was killed; return whether the night goes on."""
        code = self.planner.poll()
        if code is None:
            return True
        if code == -signal.SIGKILL:
            has_night = bool(self.nights())
            self.planner = self.start("nightly", *(["--resume"] if has_night else []))
            return True
        assert code == 0, self.log.read_text()
        return False

    def nights(self) -> list[str]:
        """Return the ids of the nights that the history has."""
        file = history_file(config.load(self.root / "pyproject.toml"))
        if not file.is_file():
            return []
        with open_history(file) as history:
            return [night.id for night in history.nights()]

    def kill_next(self) -> None:
        """Kill a process of the next kind, at a random moment of its life.

        Nothing is killed while no process of that kind runs, and when it ends before that moment.
        """
        kind = self.kinds[0]
        running = {"planner": [psutil.Process(self.planner.pid)], **self.processes()}[kind]
        if not running:
            return
        victim = self.random.choice(running)
        time.sleep(self.random.uniform(0.0, _LIVES_S[kind]))
        if victim.is_running() and victim.status() != psutil.STATUS_ZOMBIE:
            victim.kill()
            self.kinds.pop(0)
            self.allow_results()

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Return the workers and the cells of this project that run, in order of their start."""
        found: dict[str, list[psutil.Process]] = {"worker": [], "cell": []}
        for process in psutil.process_iter():
            try:
                words, folder = process.cmdline(), process.cwd()
            except psutil.Error:
                continue
            if (
                folder == str(self.root)
                and str(night_project.CELL) in words
                and "setpriv" not in words[0]
            ):
                found["cell"].append(process)
            elif folder == str(self.root) and _WORKER in words:
                found["worker"].append(process)
        return found


@pytest.mark.timeout(600)
def test_a_night_with_20_kills_at_random_moments_loses_no_cell_and_counts_none_twice(
    project: Path,
) -> None:
    """Planner, workers and cells get SIGKILL; the resumed night has one result for each cell."""
    killer = Killer(project, SEED)
    end = time.monotonic() + _DEADLINE_S

    while killer.go_on():
        assert time.monotonic() < end, killer.log.read_text()
        time.sleep(0.2)
        if killer.kinds and killer.planner.poll() is None:
            killer.kill_next()

    assert not killer.kinds, "the night ended before the last kill"
    _check(project)
    assert not any(killer.processes().values())


def _check(project: Path) -> None:
    """Check the history against the plan, and against the reports that lie in the runs."""
    file = history_file(config.load(project / "pyproject.toml"))
    with open_history(file) as history:
        (night,) = history.nights()
        planned = [one.cell.id for one in history.planned(night.id)]
        found = history.results(night.id)
        starts = Counter(start.cell for start in history.starts(night.id))
    reports = [one.parent for one in (project / "build" / "runs").glob("*/report.json")]
    passed = [one for one in reports if run_report.load(one).verdict is Verdict.PASSED]

    assert night.ended_at
    assert len(planned) == CELLS
    assert sorted(one.cell for one in found) == sorted(planned)
    # A cell whose processes were killed each time is named as lost, with the number of starts.
    lost = [one for one in found if one.verdict is Verdict.LOST]
    assert all(starts[one.cell] == MOST_STARTS for one in lost)
    assert {one.run_id for one in found if one not in lost} == {one.name for one in passed}
    assert len(passed) == CELLS - len(lost)
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
