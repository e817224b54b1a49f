# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of report.history: equal crashes of several runs form one group."""

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.report import history, run_report
from tests.unit.crashes import crash, report_of


def stored(runs: Path) -> None:
    """Write three runs: two with the same crash, and one with another."""
    other = crash(signature="ba9876543210", title="WARNING in osq_other", test="")
    for name, at, crashes in (
        ("run-1", "2026-11-23T10:00:00+00:00", (crash(),)),
        ("run-2", "2026-11-24T10:00:00+00:00", (crash(),)),
        ("run-3", "2026-11-25T10:00:00+00:00", (other,)),
    ):
        folder = runs / name
        folder.mkdir(parents=True)
        run_report.write(report_of(folder, started_at=at, crashes=crashes))


def test_the_same_crash_is_one_group(tmp_path: Path) -> None:
    """A crash of two runs is one group with count, first and last run; the latest comes first."""
    stored(tmp_path)

    latest, twice = history.grouped(tuple(history.runs(tmp_path)))

    assert (latest.signature, latest.count) == ("ba9876543210", 1)
    assert (twice.signature, twice.count) == ("0123456789ab", 2)
    assert twice.first_at.startswith("2026-11-23")
    assert twice.last_at.startswith("2026-11-24")
    assert twice.last_run.run_id == "run-2"
    assert "2 x" in history.rows((twice,))[0]


def test_folders_without_a_report_are_skipped(tmp_path: Path) -> None:
    """A folder without a readable report is skipped, and the other runs are still found."""
    stored(tmp_path)
    (tmp_path / "run-4").mkdir()
    (tmp_path / "run-4" / "report.json").write_text("{")

    assert [one.run_id for one in history.runs(tmp_path)] == ["run-1", "run-2", "run-3"]


def test_a_crash_is_found_by_the_beginning_of_its_signature(tmp_path: Path) -> None:
    """A crash is found by the start of its signature; no match or several are an error."""
    stored(tmp_path)

    assert history.find(tmp_path, "0123").signature == "0123456789ab"
    for wrong in ("ffff", ""):
        with pytest.raises(UsageError, match="ba9876543210"):
            history.find(tmp_path, wrong)
