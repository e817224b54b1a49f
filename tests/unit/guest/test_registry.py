# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""lives: the lock of a run ends with its process, its record says what is left."""

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from harness.guest import registry


def entry(base: Path, run_id: str = "20260101-000000-abcd") -> registry.GuestEntry:
    """Return an entry below `base` with a disk folder that exists."""
    disk = base / "disk" / run_id
    disk.mkdir(parents=True)
    return registry.GuestEntry(
        run_id=run_id,
        folder=base / "runtime" / run_id,
        disk=disk,
        run=base / "run",
        pid=os.getpid(),
        target="one",
    )


def test_a_run_that_ends_leaves_nothing(tmp_path: Path) -> None:
    """Folder, record and overlay are gone after a run that was not kept."""
    mine = entry(tmp_path)

    with registry.claim(mine):
        assert registry.list_entries(mine.folder.parent)[0].run_id == mine.run_id

    assert not mine.folder.exists()
    assert not mine.disk.exists()


def test_a_kept_run_stays_without_an_owner(tmp_path: Path) -> None:
    """A record that says kept survives the run, unlocked, with every field as written."""
    mine = entry(tmp_path)

    with registry.claim(mine) as held:
        replace(held, kept=True, port=4242).write()
        assert registry.is_owned(mine.folder)

    (left,) = registry.list_entries(mine.folder.parent)
    assert (left.kept, left.port, left.disk) == (True, 4242, mine.disk)
    assert not registry.is_owned(mine.folder)
    assert mine.disk.exists()


def _hold(mine: registry.GuestEntry, ready: "multiprocessing.synchronize.Event") -> None:
    with registry.claim(mine):
        ready.set()
        signal.pause()


def test_a_killed_run_loses_its_lock_but_not_its_record(tmp_path: Path) -> None:
    """After SIGKILL the record is there and no longer owned: a leftover."""
    mine = entry(tmp_path)
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=_hold, args=(mine, ready))
    process.start()
    assert ready.wait(10)
    assert registry.is_owned(mine.folder)

    process.kill()
    process.join(10)

    (left,) = registry.list_entries(mine.folder.parent)
    assert left.run_id == mine.run_id
    assert not registry.is_owned(left.folder)


def test_a_torn_record_is_no_life(tmp_path: Path) -> None:
    """A folder with half a record is not listed, but found as broken."""
    folder = tmp_path / "runtime" / "torn"
    folder.mkdir(parents=True)
    (folder / "life.json").write_text('{"run_id": "to')

    assert registry.list_entries(folder.parent) == ()
    assert registry.broken_folders(folder.parent, older_than_s=-1) == (folder,)
    assert registry.broken_folders(folder.parent, older_than_s=3600) == ()


def test_two_runs_never_share_an_entry(tmp_path: Path) -> None:
    """Claiming a run id that exists is refused."""
    mine = entry(tmp_path)

    with registry.claim(mine), pytest.raises(FileExistsError), registry.claim(mine):
        pass


def test_run_ids_sort_by_time_and_differ() -> None:
    """Two ids made at once differ, and both have the documented form."""
    first, second = registry.new_run_id(), registry.new_run_id()

    assert first != second
    assert len(first) == len("20260101-000000-abcd")


def test_a_place_is_private_held_and_gone_afterwards(tmp_path: Path) -> None:
    """Nobody else enters it, and a sweep passes over it while its block lasts."""
    with registry.place(tmp_path / "runtime", "replay") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.name.startswith("replay-")
        assert registry.is_owned(folder)
        assert registry.broken_folders(tmp_path / "runtime", older_than_s=-1.0) == ()

    assert not folder.exists()


def test_the_place_of_a_killed_process_is_swept(tmp_path: Path) -> None:
    """Unheld and without a record it is what `broken` returns."""
    left = tmp_path / "replay-abc"
    left.mkdir()
    (left / "lock").touch()

    assert registry.broken_folders(tmp_path, older_than_s=-1.0) == (left,)
