# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""keeper: the daemon ends with the pipe, lives on at the word, and takes its guests along."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from harness.guest import libvirtd_parent

DAEMON = ["sh", "-c", "echo $$; exec sleep 60"]


def started(runtime: Path, command: list[str]) -> tuple[subprocess.Popen[bytes], int]:
    """Return a keeper and the pid of the daemon below it."""
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


def test_the_daemon_ends_with_the_pipe(tmp_path: Path) -> None:
    """When whoever holds the pipe is gone, so are daemon and keeper."""
    running, daemon = started(tmp_path, DAEMON)

    running.communicate(timeout=10)

    assert running.returncode == 0
    assert not lives(daemon)


def test_the_guest_ends_with_the_daemon(tmp_path: Path) -> None:
    """A guest named by a pid file without a newline, as libvirt writes them, is killed too."""
    pids = tmp_path / "libvirt/qemu/run"
    pids.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as guest:
        (pids / "harness.pid").write_text(str(guest.pid))
        running, _ = started(tmp_path, DAEMON)

        running.communicate(timeout=10)

        assert guest.wait(5) == -signal.SIGKILL


def test_the_word_keep_releases_the_daemon(tmp_path: Path) -> None:
    """After `keep` the keeper is gone and the daemon is not."""
    running, daemon = started(tmp_path, [*DAEMON[:2], "echo $$; exec sleep 60 >/dev/null"])
    try:
        running.communicate(b"keep\n", timeout=10)

        assert running.returncode == 0
        assert lives(daemon)
    finally:
        os.kill(daemon, signal.SIGKILL)


def test_the_keeper_ends_with_a_daemon_that_fails(tmp_path: Path) -> None:
    """A daemon that ends by itself is noticed while the pipe is still open."""
    running, _ = started(tmp_path, ["sh", "-c", "echo $$; exit 1"])

    assert running.wait(10) == 0
    running.communicate()
