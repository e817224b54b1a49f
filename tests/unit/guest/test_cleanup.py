# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""leftovers: what a killed run left goes away, what somebody keeps or uses stays."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.guest import cleanup, registry


def make_entry(base: Path, run_id: str, *, kept: bool = False) -> registry.GuestEntry:
    """Write the record of a run that nobody owns, with a disk folder."""
    entry = registry.GuestEntry(
        run_id=run_id,
        folder=base / "runtime" / run_id,
        disk=base / "cache" / "live" / run_id,
        run=base / "run",
        pid=os.getpid(),
        target="one",
        kept=kept,
    )
    entry.folder.mkdir(parents=True)
    entry.disk.mkdir(parents=True)
    entry.write()
    return entry


def swept(base: Path) -> list[str]:
    """Return what a sweep says."""
    return list(cleanup.sweep(base / "runtime", base / "cache"))


def test_a_killed_run_is_removed_and_said(tmp_path: Path) -> None:
    """Record, folder and overlay of a run without an owner go, and one line names it."""
    entry = make_entry(tmp_path, "run-1")

    (line,) = swept(tmp_path)

    assert "run-1" in line
    assert not entry.folder.exists()
    assert not entry.disk.exists()
    assert swept(tmp_path) == []


def test_a_run_in_use_is_left_alone(tmp_path: Path) -> None:
    """A lock that somebody holds protects the run."""
    base = make_entry(tmp_path, "run-0")
    mine = replace(base, run_id="run-1", folder=tmp_path / "runtime" / "run-1")
    registry.remove(base)

    with registry.claim(mine):
        assert swept(tmp_path) == []
        assert mine.folder.exists()


def test_a_kept_guest_that_died_is_a_leftover(tmp_path: Path) -> None:
    """Kept protects a guest that lives, not the files of one that is gone."""
    make_entry(tmp_path, "run-1", kept=True)

    assert len(swept(tmp_path)) == 1


def test_an_overlay_without_a_record_is_removed(tmp_path: Path) -> None:
    """A disk whose run folder vanished with a reboot is found by its own folder."""
    orphan = tmp_path / "cache" / "live" / "run-9"
    orphan.mkdir(parents=True)
    os.utime(orphan, (0, 0))

    assert "run-9" in swept(tmp_path)[0]
    assert not orphan.exists()


def test_an_overlay_of_another_runtime_folder_stays(tmp_path: Path) -> None:
    """Two users of one cache do not take each other's live disks for orphans."""
    elsewhere = tmp_path / "elsewhere" / "run-8"
    elsewhere.mkdir(parents=True)
    disk = tmp_path / "cache" / "live" / "run-8"
    disk.mkdir(parents=True)
    (disk / "entry").write_text(f"{elsewhere}\n")

    assert swept(tmp_path) == []
    elsewhere.rmdir()
    assert "run-8" in swept(tmp_path)[0]


def test_the_only_guest_is_meant_without_a_name(tmp_path: Path) -> None:
    """One guest needs no name, two need one, none is an error that lists."""
    runtime = tmp_path / "runtime"
    with pytest.raises(UsageError, match="guests now: none"):
        cleanup.choose_guest(runtime, "")
    make_entry(tmp_path, "20260101-000000-aaaa")
    assert cleanup.choose_guest(runtime, "").run_id.endswith("aaaa")
    make_entry(tmp_path, "20260101-000001-bbbb")

    assert cleanup.choose_guest(runtime, "bbbb").run_id.endswith("bbbb")
    with pytest.raises(UsageError, match="not clear"):
        cleanup.choose_guest(runtime, "")
    with pytest.raises(UsageError, match="aaaa"):
        cleanup.choose_guest(runtime, "cccc")
