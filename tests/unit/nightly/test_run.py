# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of nightly.run and room: the night and a person at the host do not disturb each other.

The cells are real processes that leave real reports; the person's guest is a registered one.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.guest import registry
from harness.guest.registry import GuestEntry
from harness.host import config as host_config
from harness.model.settings import Settings
from harness.nightly import cells, room, run
from harness.nightly.database import History, history_file, open_history
from harness.nightly.room import Room
from harness.nightly.run import Limits
from harness.nightly.values import PlannedCell
from tests import night_project
from tests.unit.nightly.nights import NIGHT

PLENTY_MIB = 16384
DEADLINE_S = 120.0


class Host:
    """A host with a night of two cells, whose free memory the test sets."""

    def __init__(self, root: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = host_config.load(root / "pyproject.toml")
        self.runtime = runtime
        self.free_mib = PLENTY_MIB
        self.said: list[str] = []
        monkeypatch.setattr(room, "free_memory_mib", lambda: self.free_mib)

    def run(self, *, cores: int = 4, look: Callable[[], None] = lambda: None) -> tuple[str, ...]:
        """Run the night; `look` is called for each line that it says. Return the verdicts."""

        def say(line: str) -> None:
            self.said.append(line)
            look()

        limits = Limits(
            budget_s=3600.0,
            deadline_s=DEADLINE_S,
            host=Room(cores=cores, memory_mib=8192),
            runtime=self.runtime,
            worker="tiger",
        )
        with open_history(history_file(self.settings)) as history:
            history.begin_night(NIGHT, planned(self.settings))
            run.run(self.settings, history, NIGHT.id, limits, say)
            return self.results(history)

    def results(self, history: History) -> tuple[str, ...]:
        """Return the verdict of each result and how often its cell was started."""
        return tuple(
            f"{one.verdict.value} after {one.starts}" for one in history.results(NIGHT.id)
        )

    def has_said(self, text: str) -> bool:
        """Return whether the night has said a line with this text."""
        return any(text in line for line in self.said)


def planned(settings: Settings) -> tuple[PlannedCell, ...]:
    """Return the plan of every cell of a configuration."""
    found = cells.cells(settings, settings.nightly.full, long=False)
    return tuple(
        PlannedCell(cell=one, position=number, expected_s=1.0) for number, one in enumerate(found)
    )


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Give a host with plenty of memory, and a night of two cells."""
    root = night_project.make(tmp_path / "project", {"a": "takes_s=3", "b": "takes_s=3"})
    return Host(root, tmp_path / "runtime", monkeypatch)


def entry(runtime: Path, run_id: str, *, target: str = "theirs", kept: bool = False) -> GuestEntry:
    """Return the record of a guest with 2 processors and 2 GiB."""
    return GuestEntry(
        run_id=run_id,
        folder=runtime / run_id,
        disk=runtime / f"{run_id}-disk",
        run=runtime / f"{run_id}-run",
        pid=os.getpid(),
        target=target,
        kept=kept,
        vcpus=2,
        memory_mib=2048,
    )


@contextmanager
def guest(runtime: Path, run_id: str = "a-person") -> Iterator[None]:
    """Register the guest of a person, as kernel-test does, for the duration of the block."""
    with registry.claim(entry(runtime, run_id)):
        yield


def test_the_guests_of_others_take_what_they_were_given_whatever_project_they_belong_to(
    tmp_path: Path,
) -> None:
    """A guest that was left up counts; the night's own and one whose run was killed do not."""
    runtime = tmp_path / "runtime"
    killed, left = entry(runtime, "killed"), entry(runtime, "left-up", kept=True)
    for one in (killed, left):
        one.folder.mkdir(parents=True)
        one.write()

    with guest(runtime), guest(runtime, "own"):
        found = room.of_others(runtime, {"own"})

    assert found == Room(cores=4, memory_mib=2 * (2048 + 400))


def test_a_night_alone_runs_its_cells_side_by_side(host: Host) -> None:
    """Without anybody else, the second cell starts before the first has ended."""
    assert host.run() == ("passed after 1", "passed after 1")
    assert [line.rpartition(" ")[2] for line in host.said[:2]] == ["started", "started"]


def test_a_person_at_the_host_delays_the_second_cell_and_not_the_first(host: Host) -> None:
    """The guest of a person takes both processors, so one cell runs at a time."""
    with guest(host.runtime):
        verdicts = host.run(cores=2)

    assert verdicts == ("passed after 1", "passed after 1")
    assert ": started" in host.said[0]
    assert ": passed" in host.said[1]


def test_the_night_ends_its_youngest_cell_when_a_person_needs_the_memory(host: Host) -> None:
    """The cell is started again when memory is free, and this does not count as a start."""

    def look() -> None:
        if sum(line.endswith(": started") for line in host.said) == 2:
            # When the youngest cell is ended, there is enough for the other, and not for two.
            host.free_mib = 1000 if host.has_said("ended, since") else 100
        if host.has_said(": passed"):
            host.free_mib = PLENTY_MIB

    with guest(host.runtime):
        verdicts = host.run(cores=8, look=look)

    assert verdicts == ("passed after 1", "passed after 1")
    first, second, ended, *_ = host.said
    assert ended == second.replace(
        "started", "ended, since 100 MiB of memory are free; it is started again later"
    )
    assert host.said[3].startswith(first.replace("started", "passed"))
    assert host.said[4] == second
    assert not host.has_said("was killed")


def test_the_last_cell_yields_to_a_person_and_waits_for_memory(host: Host) -> None:
    """It starts again only when more memory than it needs is free, so it is not ended twice."""
    after = {"started": 100, "later": 1600, "free": PLENTY_MIB}

    def look() -> None:
        # Each line changes the free memory once.
        host.free_mib = after.pop(host.said[-1].split()[-1], host.free_mib)

    with guest(host.runtime):
        verdicts = host.run(cores=2, look=look)

    assert verdicts == ("passed after 1", "passed after 1")
    assert sum("ended, since" in line for line in host.said) == 1
    assert host.has_said("waiting for memory: 1600 of 1680 MiB are free")


def test_a_cell_that_runs_alone_is_not_ended_for_memory(host: Host) -> None:
    """To end the only cell of a host without other guests would help nobody."""
    host.free_mib = 1600

    def look() -> None:
        host.free_mib = 100 if host.said[-1].endswith(": started") else 1600

    assert host.run(cores=1, look=look) == ("passed after 1", "passed after 1")
    assert not host.has_said("ended, since")
