# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""handoff: what is written is what the other process reads."""

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


def test_a_handoff_survives_the_file(tmp_path: Path) -> None:
    """Reading gives an equal value, paths and enums included."""
    file = tmp_path / "session.json"

    shared_session.write(SAMPLE, file)

    assert shared_session.read(file) == SAMPLE


def test_a_run_that_ended_is_said(tmp_path: Path) -> None:
    """A missing file means that the run is over, and the error says what to do."""
    with pytest.raises(UsageError, match="has ended") as caught:
        shared_session.read(tmp_path / "gone.json")

    assert "HARNESS_RUN" in caught.value.hint


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    """JSON of another shape is not a session file."""
    file = tmp_path / "session.json"
    file.write_text('{"run_id": 5}')

    with pytest.raises(UsageError, match="not the session file"):
        shared_session.read(file)
