# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of guest.libvirtd_parent: daemon and guests end with the pipe, except after `keep`."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from harness.guest import libvirtd_parent

DAEMON = ["sh", "-c", "echo $$; exec sleep 60"]


def start(runtime: Path, command: list[str]) -> tuple[subprocess.Popen[bytes], int]:
    """Start the parent process; return it and the process id of its daemon."""
    running = subprocess.Popen(
        [sys.executable, "-I", "-S", libvirtd_parent.__file__, str(runtime), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert running.stdout is not None
    return running, int(running.stdout.readline())


def lives(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes() != b""
    except OSError:
        return False


def test_the_daemon_ends_when_the_runs_pipe_closes(tmp_path: Path) -> None:
    """The parent of a private libvirt daemon (here a shell) ends it when the run's pipe closes."""
    running, daemon = start(tmp_path, DAEMON)

    running.communicate(timeout=10)

    assert running.returncode == 0
    assert not lives(daemon)


def test_the_guest_named_by_a_pid_file_is_killed_with_the_daemon(tmp_path: Path) -> None:
    """When a private libvirt daemon is ended, the QEMU in its folder's pid file is killed."""
    pids = tmp_path / "libvirt/qemu/run"
    pids.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as guest:
        (pids / "harness.pid").write_text(str(guest.pid))
        running, _ = start(tmp_path, DAEMON)

        running.communicate(timeout=10)

        assert guest.wait(5) == -signal.SIGKILL


def test_the_word_keep_on_its_pipe_ends_the_parent_and_leaves_the_daemon_running(
    tmp_path: Path,
) -> None:
    """A run writes `keep` to let its private libvirt daemon, and so its guest, outlive it."""
    running, daemon = start(tmp_path, [*DAEMON[:2], "echo $$; exec sleep 60 >/dev/null"])
    try:
        running.communicate(b"keep\n", timeout=10)

        assert running.returncode == 0
        assert lives(daemon)
    finally:
        os.kill(daemon, signal.SIGKILL)


def test_the_parent_ends_when_the_daemon_fails(tmp_path: Path) -> None:
    """The parent process of a private libvirt daemon ends with it, though the pipe is open."""
    running, _ = start(tmp_path, ["sh", "-c", "echo $$; exit 1"])

    assert running.wait(10) == 0
    running.communicate()
