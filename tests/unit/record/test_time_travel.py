# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of time_travel: an unusable recording is refused with a reason, and no file is left."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import HypervisorError, UsageError
from harness.model.environment import Environment
from harness.record import qemu_process, record_run, recording, time_travel
from harness.record.recording import Recording
from tests.unit.record.test_recording import FOUND


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Write a recording's folder that is complete, but whose files no QEMU has made."""
    folder = tmp_path / "runs/one"
    folder.mkdir(parents=True)
    for name in (recording.EVENTS, recording.STATES, recording.KERNEL, recording.INITRD):
        (folder / name).write_bytes(name.encode())
    recording.write(here(folder), folder)
    return folder


def here(folder: Path) -> Recording:
    """Return the record of a recording that was made by this host's QEMU version."""
    version = qemu_process.recorder(arch="x86_64", accel=None).version
    return replace(FOUND, qemu=version, digests=record_run.digests(folder))


def replay(run: Path, tmp_path: Path) -> None:
    """Try to replay a recording; fail the test if that succeeds."""
    with time_travel.replaying(run, runtime=tmp_path / "runtime"):
        pytest.fail("it was replayed")


def test_replay_of_a_recording_with_a_changed_file_is_refused(run: Path, tmp_path: Path) -> None:
    """If one byte of a recording's file has changed, the replay is refused and the file named."""
    (run / recording.EVENTS).write_bytes(b"replay.bim")

    with pytest.raises(UsageError, match=r"replay\.bin of one has changed since it was recorded"):
        replay(run, tmp_path)


def test_replay_of_a_recording_with_a_missing_file_is_refused(run: Path, tmp_path: Path) -> None:
    """If a file of the recording is missing, the replay is refused and the file named."""
    (run / recording.KERNEL).unlink()

    with pytest.raises(UsageError, match="vmlinuz of one is missing"):
        replay(run, tmp_path)


def test_recording_of_another_qemu_is_refused(run: Path, tmp_path: Path) -> None:
    """A replay with another QEMU version is refused, and the error names both versions."""
    recording.write(replace(here(run), qemu="6.0.0 (Other)"), run)

    with pytest.raises(
        UsageError, match=r"recorded by QEMU 6\.0\.0 \(Other\), but this host has \d"
    ):
        replay(run, tmp_path)


def test_when_qemu_refuses_a_replay_the_error_has_qemus_message_and_no_temporary_file_is_left(
    run: Path, tmp_path: Path
) -> None:
    """Files that a killed replay left before are removed, too."""
    stale = run / ".replay.4194999.tmp"
    stale.mkdir()

    with pytest.raises(HypervisorError, match="could not start the replay") as caught:
        replay(run, tmp_path)

    assert caught.value.evidence == ("Replay: invalid input log file version",)
    assert list(run.glob(".replay.*")) == []
    assert list((tmp_path / "runtime").iterdir()) == []


def test_debug_refuses_a_kernel_without_vmlinux(run: Path, tmp_path: Path) -> None:
    """Debugging a recording needs its kernel's vmlinux; the error names the kernel."""
    environment = Environment(
        cache=tmp_path / "cache",
        runtime=tmp_path / "runtime",
        ci=True,
        color=False,
        kbuild={},
        run=None,
    )

    with pytest.raises(UsageError, match=r"no vmlinux of 6\.1\.0-9-toy"):
        time_travel.debug(run, environment, commands=(), from_boot=False)
