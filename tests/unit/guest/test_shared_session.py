# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of guest.shared_session: another process reads the values that a run has written."""

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.guest import shared_session
from harness.model.settings import Accel, Endpoint, ModuleBuild

BUILD = ModuleBuild(
    name="m",
    release="6.1",
    stripped=Path("/m.ko"),
    debug=Path("/d/m.ko"),
    build_id="00",
    log=Path("/log"),
    fresh=True,
)
SAMPLE = shared_session.Handoff(
    run_id="20260101-000000-abcd",
    settings_file=Path("/project/pyproject.toml"),
    target="one",
    accel=Accel.TCG,
    factor=4.0,
    folder=Path("/runs/one"),
    console=Path("/runs/one/console.log"),
    endpoint=Endpoint(
        host="127.0.0.1", port=22, user="root", key_file=Path("/key"), host_key="ssh-ed25519 A"
    ),
    build=BUILD,
    variants={"test": BUILD},
)


def test_a_written_session_file_is_read_back_as_an_equal_value(tmp_path: Path) -> None:
    """The file by which tests in another process find a run's guest keeps paths and enums."""
    file = tmp_path / "session.json"

    shared_session.write(SAMPLE, file)

    assert shared_session.read(file) == SAMPLE


def test_the_missing_file_of_an_ended_run_is_a_usage_error(tmp_path: Path) -> None:
    """The error for a session file that is gone says that the run of HARNESS_RUN has ended."""
    with pytest.raises(UsageError, match="has ended") as caught:
        shared_session.read(tmp_path / "gone.json")

    assert "HARNESS_RUN" in caught.value.hint


def test_json_without_the_fields_of_a_session_file_is_a_usage_error(tmp_path: Path) -> None:
    """A JSON file that does not describe a run's guest is called 'not the session file'."""
    file = tmp_path / "session.json"
    file.write_text('{"run_id": 5}')

    with pytest.raises(UsageError, match="not the session file"):
        shared_session.read(file)
