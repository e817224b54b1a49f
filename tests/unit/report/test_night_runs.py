# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of report.night_runs: which runs are removed when they take too much room."""

from pathlib import Path

from harness.model.settings import Verdict
from harness.report import night_runs

_RUN_BYTES = 1 << 20


def make(runs: Path, name: str, verdict: Verdict | None) -> None:
    """Make the folder of a run that takes a MiB; one without a verdict has no mark."""
    (runs / name).mkdir(parents=True)
    (runs / name / "console.log").write_bytes(b"x" * (_RUN_BYTES - 8192))
    if verdict is not None:
        night_runs.mark(runs / name, verdict)


def test_passed_runs_are_removed_before_failed_ones_and_crashes_last(tmp_path: Path) -> None:
    """Nights' runs are removed until the rest fits: passed, lost, failed; older ones first."""
    make(tmp_path, "1", Verdict.CRASHED)
    make(tmp_path, "2", Verdict.FAILED)
    make(tmp_path, "3", Verdict.PASSED)
    make(tmp_path, "4", Verdict.PASSED)
    make(tmp_path, "5", Verdict.LOST)

    assert night_runs.prune(tmp_path, most_bytes=5 * _RUN_BYTES, keep=()) == ()
    assert night_runs.prune(tmp_path, most_bytes=3 * _RUN_BYTES, keep=()) == ("3", "4")
    assert night_runs.prune(tmp_path, most_bytes=_RUN_BYTES, keep=()) == ("5", "2")
    assert [folder.name for folder in tmp_path.iterdir()] == ["1"]


def test_runs_of_a_person_and_those_to_keep_stay_whatever_room_they_take(tmp_path: Path) -> None:
    """Only runs that a night has marked are removed; the size of those to keep counts, too."""
    make(tmp_path, "1", None)
    make(tmp_path, "2", Verdict.PASSED)
    make(tmp_path, "3", Verdict.PASSED)
    (tmp_path / "1" / "night").write_text("a file of the run itself")

    assert night_runs.prune(tmp_path, most_bytes=_RUN_BYTES, keep={"2"}) == ("3",)
    assert night_runs.prune(tmp_path, most_bytes=0, keep={"2"}) == ()
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["1", "2"]


def test_a_run_without_a_folder_is_not_marked(tmp_path: Path) -> None:
    """Marking the run of a night's cell that was lost before it began makes no file."""
    night_runs.mark(tmp_path / "gone", Verdict.LOST)

    assert list(tmp_path.iterdir()) == []
