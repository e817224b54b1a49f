# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""timetravel: a recording that cannot be replayed is refused with the reason, nothing is left."""

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
    """Give the folder of a recording whose files are no QEMU's, but whole."""
    folder = tmp_path / "runs/one"
    folder.mkdir(parents=True)
    for name in (recording.EVENTS, recording.STATES, recording.KERNEL, recording.INITRD):
        (folder / name).write_bytes(name.encode())
    recording.write(here(folder), folder)
    return folder


def here(folder: Path) -> Recording:
    """Return a recording of this host's QEMU."""
    version = qemu_process.recorder(arch="x86_64", accel=None).version
    return replace(FOUND, qemu=version, digests=record_run.digests(folder))


def replay(run: Path, tmp_path: Path) -> None:
    """Try to replay; it ends at once."""
    with time_travel.replaying(run, runtime=tmp_path / "runtime"):
        pytest.fail("it was replayed")


def test_a_damaged_log_is_refused(run: Path, tmp_path: Path) -> None:
    """One changed byte is enough, and its file is named."""
    (run / recording.EVENTS).write_bytes(b"replay.bim")

    with pytest.raises(UsageError, match=r"replay\.bin of one is not what was recorded"):
        replay(run, tmp_path)


def test_a_lost_file_is_named(run: Path, tmp_path: Path) -> None:
    """A recording is replayed whole or not at all."""
    (run / recording.KERNEL).unlink()

    with pytest.raises(UsageError, match="vmlinuz of one is gone"):
        replay(run, tmp_path)


def test_another_qemu_is_refused(run: Path, tmp_path: Path) -> None:
    """Both versions are said."""
    recording.write(replace(here(run), qemu="6.0.0 (Other)"), run)

    with pytest.raises(UsageError, match=r"recorded by QEMU 6\.0\.0 \(Other\), and here is \d"):
        replay(run, tmp_path)


def test_a_qemu_that_fails_is_quoted_and_nothing_is_left(run: Path, tmp_path: Path) -> None:
    """This log is no log: what QEMU itself says is the evidence."""
    stale = run / ".replay.4194999.tmp"
    stale.mkdir()

    with pytest.raises(HypervisorError, match="does not replay") as caught:
        replay(run, tmp_path)

    assert caught.value.evidence == ("Replay: invalid input log file version",)
    assert list(run.glob(".replay.*")) == []
    assert list((tmp_path / "runtime").iterdir()) == []


def test_a_debugger_needs_the_kernels_symbols(run: Path, tmp_path: Path) -> None:
    """Which command fetches them is said before anything is started."""
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
