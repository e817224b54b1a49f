# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A night on a real Buildbot master with two workers, one of which is killed in a cell.

The cells are real processes that leave real reports, and need no guest.
"""

import signal
import subprocess
from pathlib import Path

import pytest

from harness.model.settings import Verdict
from harness.nightly.database import open_history
from harness.nightly.engines.buildbot_steps import NIGHT
from tests import browser, night_project
from tests.system import buildbot_farm
from tests.system.buildbot_farm import Farm

_DEADLINE_S = 400.0
_SUCCESS = 0
_CELLS = {
    "one": "x=one takes_s=1",
    "two": "x=two takes_s=1",
    "moves": "x=moves takes_s=10",
    "stays": "x=stays takes_s=2",
}


def repository(folder: Path) -> Path:
    """Make a project with four short cells, and commit it."""
    root = night_project.make(folder, _CELLS)
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b")
    (root / ".gitignore").write_text("build/\n")
    for words in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "."),
        ("commit", "--quiet", "--message=a module"),
    ):
        subprocess.run((*git, *words), check=True, cwd=root)
    return root


@pytest.mark.timeout(500)
@pytest.mark.parametrize(
    "ends", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.long)]
)
def test_a_night_survives_a_killed_worker_and_a_restarted_master(
    tmp_path: Path, ends: signal.Signals
) -> None:
    """With real Buildbot processes, each cell of the night has one result; one was run again."""
    workers = ["kvm-1", "kvm-2"]
    project = repository(tmp_path / "project")
    with buildbot_farm.opened(tmp_path / "farm", project, workers, _DEADLINE_S) as farm:
        master = farm.start_master()
        running = {name: farm.start(name) for name in workers}
        farm.force()
        killed = farm.wait(lambda: _worker_of(farm, "moves"), "the cell that moves")
        running[killed].kill()
        other = farm.wait(lambda: _worker_of(farm, "moves", besides=killed), "the cell elsewhere")
        master.send_signal(ends)
        master.wait(60)
        farm.start_master()
        farm.start(killed)
        assert other != killed

        farm.wait(lambda: _night_ended(farm), "the night to end")
        _check_history(farm, killed)
        _check_views(farm, killed, tmp_path)


def _worker_of(farm: Farm, flavour: str, besides: str = "") -> str:
    """Return the worker on which the process of a cell runs, "" when none does.

    The process of a cell outlives its worker, so the killed one is left out.
    """
    words = f"--append={_CELLS[flavour]}"
    names = [name for name in ("kvm-1", "kvm-2") if name != besides]
    return next((name for name in names if farm.running_cell(name, words)), "")


def _night_ended(farm: Farm) -> bool:
    return any(one.what == NIGHT and one.results == _SUCCESS for one in farm.builds())


def _check_history(farm: Farm, killed: str) -> None:
    """Check the results of the night, each of which counts once."""
    file = farm.master / "workers" / "history" / NIGHT / "build" / "build" / "nightly"
    with open_history(file / "history.db") as history:
        (night,) = history.nights()
        found = history.results(night.id)
    assert len(found) == len(_CELLS)
    assert {one.verdict for one in found} == {Verdict.PASSED}
    moved = next(one for one in found if "/moves/" in one.cell)
    assert [one.worker for one in moved.lost_tries] == [killed]
    assert all(one.lost_tries == () for one in found if one is not moved)


def _check_views(farm: Farm, killed: str, folder: Path) -> None:
    """Check the report that the master serves, and the link to it in the web view."""
    last = [one for one in farm.builds() if one.what == NIGHT][-1]
    report = f"{farm.reports}{last.request}/nightly.html"
    assert f"{killed} was lost" in buildbot_farm.read(report)
    with browser.opened() as page:
        view = f"{farm.address}#/builders/{last.builder}/builds/{last.number}"
        page.command("Page.navigate", url=view)
        links = "[...document.querySelectorAll('a')].map(a => a.href)"
        farm.wait(lambda: report in page.value(links), "the link in the web view")
        page.screenshot(folder / "web-view.png")
