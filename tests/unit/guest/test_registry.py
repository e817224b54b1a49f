# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of guest.registry: a run's lock is released with its process, and its record remains."""

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.guest import registry


def entry(base: Path, run_id: str = "20260101-000000-abcd") -> registry.GuestEntry:
    """Return an entry below `base`, of which nothing exists yet."""
    return registry.GuestEntry(
        run_id=run_id,
        folder=base / "runtime" / run_id,
        disk=base / "disk" / run_id,
        run=base / "run",
        pid=os.getpid(),
        target="one",
    )


def test_a_run_that_ends_leaves_no_folder_record_or_overlay(tmp_path: Path) -> None:
    """At its end a run that keeps no guest removes its runtime folder and its disk overlay."""
    mine = entry(tmp_path)

    with registry.claim(mine):
        assert registry.list_entries(mine.folder.parent)[0].run_id == mine.run_id

    assert not mine.folder.exists()
    assert not mine.disk.exists()


def test_the_record_of_a_kept_run_stays_and_is_not_locked(tmp_path: Path) -> None:
    """The record of a run whose guest is kept up stays whole, and no process holds its lock."""
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
    """After SIGKILL to a run its record exists, and no process owns the run."""
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


def test_a_run_folder_with_an_unparsable_record_is_listed_as_broken_and_not_as_an_entry(
    tmp_path: Path,
) -> None:
    """The folder is in `broken_folders`, unless it is younger than the given age."""
    folder = tmp_path / "runtime" / "torn"
    folder.mkdir(parents=True)
    (folder / "life.json").write_text('{"run_id": "to')

    assert registry.list_entries(folder.parent) == ()
    assert registry.broken_folders(folder.parent, older_than_s=-1) == (folder,)
    assert registry.broken_folders(folder.parent, older_than_s=3600) == ()


def test_a_run_id_cannot_be_claimed_twice(tmp_path: Path) -> None:
    """A second claim of a run id raises UsageError while the first one is held."""
    mine = entry(tmp_path)

    with (
        registry.claim(mine),
        pytest.raises(UsageError, match="there already"),
        registry.claim(mine),
    ):
        pass


def test_a_refused_claim_leaves_the_overlay_of_the_other_runtime_folders_run(
    tmp_path: Path,
) -> None:
    """A run id in use by a run of another runtime folder is refused; its overlay stays."""
    mine = entry(tmp_path)
    other = replace(mine, folder=tmp_path / "elsewhere" / mine.run_id)

    with registry.claim(mine):
        (mine.disk / "overlay.qcow2").touch()
        with pytest.raises(UsageError, match="there already"), registry.claim(other):
            pass

        assert (mine.disk / "overlay.qcow2").exists()
        assert not other.folder.exists()


def test_a_new_run_id_has_the_documented_length_and_differs_from_the_next_one() -> None:
    """Two new run ids differ, and the first one has the length of the documented form."""
    first, second = registry.new_run_id(), registry.new_run_id()

    assert first != second
    assert len(first) == len("20260101-000000-abcd")


def test_a_private_socket_folder_is_locked_while_held_and_removed_afterwards(
    tmp_path: Path,
) -> None:
    """A replay's socket folder has mode 0700, and no cleanup takes it for a broken folder."""
    with registry.hold_folder(tmp_path / "runtime", "replay") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.name.startswith("replay-")
        assert registry.is_owned(folder)
        assert registry.broken_folders(tmp_path / "runtime", older_than_s=-1.0) == ()

    assert not folder.exists()


def test_the_unlocked_folder_of_a_killed_process_is_listed_as_broken(tmp_path: Path) -> None:
    """A socket folder whose lock no process holds is in `broken_folders`, for the cleanup."""
    left = tmp_path / "replay-abc"
    left.mkdir()
    (left / "lock").touch()

    assert registry.broken_folders(tmp_path, older_than_s=-1.0) == (left,)
