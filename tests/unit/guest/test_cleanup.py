# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of guest.cleanup: leftovers of killed runs are removed, kept and used guests are not."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.guest import cleanup, registry


def make_entry(base: Path, run_id: str, *, kept: bool = False) -> registry.GuestEntry:
    """Write the record of a run without a lock, and make its disk folder."""
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


def sweep_lines(base: Path) -> list[str]:
    """Sweep, and return the lines that describe what was removed."""
    return list(cleanup.sweep(base / "runtime", base / "cache"))


def test_cleanup_removes_folder_and_overlay_of_a_killed_run_and_returns_a_line_naming_it(
    tmp_path: Path,
) -> None:
    """A run is taken for killed if no process holds its lock; its record goes, too."""
    entry = make_entry(tmp_path, "run-1")

    (line,) = sweep_lines(tmp_path)

    assert "run-1" in line
    assert not entry.folder.exists()
    assert not entry.disk.exists()
    assert sweep_lines(tmp_path) == []


def test_a_run_whose_lock_is_held_is_not_removed(tmp_path: Path) -> None:
    """The cleanup of killed runs leaves a run alone while a process holds the run's lock."""
    base = make_entry(tmp_path, "run-0")
    mine = replace(base, run_id="run-1", folder=tmp_path / "runtime" / "run-1")
    registry.remove(base)

    with registry.claim(mine):
        assert sweep_lines(tmp_path) == []
        assert mine.folder.exists()


def test_files_of_a_guest_that_should_stay_up_but_no_longer_runs_are_removed(
    tmp_path: Path,
) -> None:
    """The cleanup of killed runs also removes folder and overlay of a kept guest that ended."""
    entry = make_entry(tmp_path, "run-1", kept=True)

    assert len(sweep_lines(tmp_path)) == 1
    assert not entry.folder.exists()
    assert not entry.disk.exists()


def test_cleanup_removes_an_old_overlay_folder_whose_run_has_no_record_and_names_the_run(
    tmp_path: Path,
) -> None:
    """A disk overlay is removed when its run's folder is gone, for example after a reboot."""
    orphan = tmp_path / "cache" / "live" / "run-9"
    orphan.mkdir(parents=True)
    os.utime(orphan, (0, 0))

    assert "run-9" in sweep_lines(tmp_path)[0]
    assert not orphan.exists()


def test_the_overlay_of_a_run_that_goes_on_survives_the_sweeps_of_other_runs(
    tmp_path: Path,
) -> None:
    """Cleanup leaves a live run's disk overlay, however old, even from another runtime folder."""
    base = make_entry(tmp_path, "run-0")
    registry.remove(base)

    with registry.claim(base):
        (base.disk / "overlay.qcow2").touch()
        os.utime(base.disk, (0, 0))

        assert sweep_lines(tmp_path) == []
        assert list(cleanup.sweep(tmp_path / "elsewhere", tmp_path / "cache")) == []
        assert (base.disk / "overlay.qcow2").exists()


def test_an_overlay_stays_until_its_runs_folder_in_another_runtime_folder_is_removed(
    tmp_path: Path,
) -> None:
    """Cleanup keeps a run's disk overlay while the folder that its file `entry` names exists."""
    elsewhere = tmp_path / "elsewhere" / "run-8"
    elsewhere.mkdir(parents=True)
    disk = tmp_path / "cache" / "live" / "run-8"
    disk.mkdir(parents=True)
    (disk / "entry").write_text(f"{elsewhere}\n")

    assert sweep_lines(tmp_path) == []
    elsewhere.rmdir()
    assert "run-8" in sweep_lines(tmp_path)[0]


def test_choosing_without_a_run_id_succeeds_only_if_there_is_exactly_one_guest(
    tmp_path: Path,
) -> None:
    """Without a run id the only guest is chosen; with none or with several it is a UsageError."""
    runtime = tmp_path / "runtime"
    with pytest.raises(UsageError, match="there is no guest"):
        cleanup.choose_guest(runtime, "")
    make_entry(tmp_path, "20260101-000000-aaaa")
    assert cleanup.choose_guest(runtime, "").run_id.endswith("aaaa")
    make_entry(tmp_path, "20260101-000001-bbbb")

    assert cleanup.choose_guest(runtime, "bbbb").run_id.endswith("bbbb")
    with pytest.raises(UsageError, match="not clear"):
        cleanup.choose_guest(runtime, "")
    with pytest.raises(UsageError, match="aaaa"):
        cleanup.choose_guest(runtime, "cccc")


def test_a_complete_run_id_selects_its_guest_even_if_another_run_id_ends_in_it(
    tmp_path: Path,
) -> None:
    """A run id that is given in full chooses its guest, even if another id ends in it."""
    for run_id in ("1f3a", "20260101-120000-1f3a"):
        make_entry(tmp_path, run_id, kept=True)

    assert cleanup.choose_guest(tmp_path / "runtime", "1f3a").run_id == "1f3a"
    assert cleanup.choose_guest(tmp_path / "runtime", "0-1f3a").run_id == "20260101-120000-1f3a"


@pytest.mark.parametrize(
    ("guests", "asked", "says", "hint"),
    [
        ((), "", "there is no guest", "modlab kernel-test-load starts a guest"),
        (("run-1",), "2", "run 2 has no guest; guests now: run-1", "kernel-test-load"),
        (("run-1", "run-2"), "", "is meant: run-1, run-2", "give the end of its name"),
        (("run-1", "old-1"), "-1", "is meant: old-1, run-1", "give the end of its name"),
    ],
)
def test_an_unknown_or_ambiguous_guest_is_refused_with_a_hint_to_start_or_choose(
    guests: tuple[str, ...], asked: str, says: str, hint: str, tmp_path: Path
) -> None:
    """A part of a run id that fits no guest or several ones is a UsageError with a hint."""
    for run_id in guests:
        make_entry(tmp_path, run_id, kept=True)

    with pytest.raises(UsageError) as caught:
        cleanup.choose_guest(tmp_path / "runtime", asked)

    assert says in caught.value.message
    assert hint in caught.value.hint


def test_the_unfinished_dump_of_a_killed_run_is_removed(tmp_path: Path) -> None:
    """Cleanup removes a killed run's incomplete memory dump; a complete vmcore.zst stays."""
    entry = make_entry(tmp_path, "run-1")
    folder = entry.run / "crashes" / "1"
    folder.mkdir(parents=True)
    for name in ("vmcore.raw", ".vmcore.zst.77.tmp", "vmcore.zst"):
        (folder / name).write_bytes(b"memory")

    (line,) = sweep_lines(tmp_path)

    assert "an unfinished memory dump" in line
    assert [path.name for path in folder.iterdir()] == ["vmcore.zst"]
