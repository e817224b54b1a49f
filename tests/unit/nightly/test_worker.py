# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of nightly.worker and run: what is recorded of a cell, however its process ends."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import CacheBusy
from harness.host import config as host_config
from harness.model import build_folder
from harness.model.nights import MatrixSpec
from harness.model.settings import Settings, Verdict
from harness.nightly import cells, folders, run, worker
from harness.nightly.database import History, history_file, open_history
from harness.nightly.values import Cell, PlannedCell, Start
from harness.nightly.worker import Work
from tests import night_project
from tests.unit.nightly.nights import NIGHT
from tests.unit.nightly.projects import settings
from tests.unit.nightly.test_night import report

# The cell's process: it ends as its first argument says.
_CELL = """
import os, signal, sys, time
kind = sys.argv[1]
print("hello from the cell", flush=True)
if kind == "hangs":
    time.sleep(600)
if kind == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(2)
"""


def config(root: Path, kind: str) -> Settings:
    """Return a configuration whose only cell ends in one way."""
    script = root / "cell.py"
    script.write_text(_CELL)
    plain = settings(root, MatrixSpec(targets=("small",)))
    wrapper = (sys.executable, str(script), kind)
    return replace(plain, nightly=replace(plain.nightly, wrapper=wrapper))


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """Give the history of a night with one cell."""
    with open_history(history_file(settings(tmp_path))) as opened:
        opened.begin_night(NIGHT, (PlannedCell(cell=cell(tmp_path), position=0, expected_s=1.0),))
        yield opened


def cell(root: Path) -> Cell:
    """Return the only cell."""
    return cells.cells(settings(root), MatrixSpec(targets=("small",)), long=False)[0]


def work(root: Path, deadline_s: float = 60.0) -> Work:
    """Return the first attempt at the cell."""
    return Work(
        night=NIGHT.id,
        cell=cell(root).id,
        attempt=0,
        deadline_s=deadline_s,
        history=str(history_file(settings(root))),
        worker="kvm-1",
    )


@pytest.mark.parametrize(
    ("kind", "deadline_s", "reason"),
    [("ends", 60.0, "exit code 2 and left no report"), ("hangs", 3.0, "not finish within 3 s")],
)
def test_a_cell_without_a_report_is_lost_with_the_end_of_its_output(
    tmp_path: Path, history: History, kind: str, deadline_s: float, reason: str
) -> None:
    """If one run of a night leaves no report, its result has the reason and its last lines."""
    worker.run(config(tmp_path, kind), work(tmp_path, deadline_s))

    (found,) = history.results(NIGHT.id)
    assert found.verdict is Verdict.LOST
    assert reason in found.reason
    assert found.evidence == ("hello from the cell",)


def test_a_killed_cell_is_started_again_four_times_and_then_lost(
    tmp_path: Path, history: History
) -> None:
    """A run of a night that is killed has four starts in all; the fifth worker gives up."""
    for _ in range(4):
        worker.run(config(tmp_path, "killed"), work(tmp_path))
        assert history.results(NIGHT.id) == ()

    worker.run(config(tmp_path, "killed"), work(tmp_path))

    (found,) = history.results(NIGHT.id)
    assert (found.verdict, found.starts) == (Verdict.LOST, 4)
    assert "killed each time" in found.reason
    assert [start.number for start in history.starts(NIGHT.id)] == [1, 2, 3, 4]
    logs = (build_folder.within(tmp_path, "nightly") / NIGHT.id).glob("*.log")
    assert [log.read_text() for log in logs] == ["hello from the cell\nKilled\n"] * 4


def test_the_report_of_a_start_whose_worker_was_killed_counts(
    tmp_path: Path, history: History
) -> None:
    """A run of a night that ended although its worker process died is not started again."""
    start = Start(
        night=NIGHT.id,
        cell=cell(tmp_path).id,
        attempt=0,
        number=1,
        run_id="run-1",
        started_at="2026-01-01",
    )
    history.start(start)
    report(build_folder.runs(tmp_path) / "run-1", verdict=Verdict.FAILED)

    worker.run(config(tmp_path, "killed"), work(tmp_path))
    worker.run(config(tmp_path, "killed"), work(tmp_path))

    (found,) = history.results(NIGHT.id)
    assert (found.run_id, found.verdict) == ("run-1", Verdict.FAILED)
    assert history.starts(NIGHT.id) == (start,)


def test_a_start_that_somebody_interrupts_is_not_one_of_the_four(tmp_path: Path) -> None:
    """SIGTERM to a worker ends a cell's start, which does not count as one that was killed."""
    root = night_project.make(tmp_path / "project", {"slow": "takes_s=60"})
    slow_settings = host_config.load(root / "pyproject.toml")
    (slow,) = cells.cells(slow_settings, slow_settings.nightly.full, long=False)
    folders.of_night(slow_settings, NIGHT.id).mkdir(parents=True)
    with open_history(history_file(slow_settings)) as history:
        history.begin_night(NIGHT, (PlannedCell(cell=slow, position=0, expected_s=1.0),))
        asked = Work(
            night=NIGHT.id,
            cell=slow.id,
            attempt=0,
            deadline_s=60.0,
            history=str(history.file),
            worker="kvm-1",
        )
        worker_process = subprocess.Popen(asked.arguments(slow_settings), cwd=root)
        try:
            end = time.monotonic() + 60.0
            while not history.starts(NIGHT.id):
                assert time.monotonic() < end
                time.sleep(0.05)
            worker_process.terminate()
            assert worker_process.wait(60) == 130
        finally:
            worker_process.kill()
            worker_process.wait()

        assert history.starts(NIGHT.id) == ()
        assert history.results(NIGHT.id) == ()


def test_only_one_night_of_a_project_runs_at_a_time(tmp_path: Path) -> None:
    """A second night on the same project raises CacheBusy."""
    with (
        run.only_night(settings(tmp_path)),
        pytest.raises(CacheBusy, match="another night"),
        run.only_night(settings(tmp_path)),
    ):
        pass
