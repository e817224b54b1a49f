# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The parent process of a private libvirt daemon; it ends guest and daemon when the run ends.

`libvirtd` starts this file as a script (`libvirtd_parent.py RUNTIME COMMAND...`), so it imports
nothing of the harness. Standard input is a pipe whose other end only the run has open. When the
run ends for any reason, the pipe closes, and this process kills guest and daemon. After the word
`keep` on the pipe it leaves both running. It also reaps dead guests at once: libvirt waits for
that in each destroy, and a container's init is slow to do it (1.6 s) or never does.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

# With this prctl, orphaned descendants become children of this process instead of init's.
_PR_SET_CHILD_SUBREAPER = 36


def main(runtime: Path, command: list[str]) -> int:
    """Run the libvirt daemon until the pipe on standard input closes or the daemon ends; return 0.

    Then the guests and the daemon are killed. After the word `keep` on the pipe, return at once,
    and leave the daemon and its guests running.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    # Python writes to the wakeup descriptor only for signals that have a handler.
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    # Signals are ignored only after the start, because the daemon would inherit ignored signals.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while daemon.pid not in _collect():
        ready, _, _ = select.select([0, wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
        if 0 in ready:
            if os.read(0, 64).startswith(b"keep"):
                return 0
            break
    _end(runtime, daemon.pid)
    return 0


def _collect() -> set[int]:
    """Reap the children that have ended, and return their process ids."""
    ended = set()
    try:
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            ended.add(pid)
    except ChildProcessError:
        pass
    return ended


def _end(runtime: Path, daemon: int) -> None:
    """Kill the guests that libvirt's pid files name, then the daemon, and wait for them."""
    files = (runtime / "libvirt/qemu/run").glob("*.pid")
    # driver.pid names the daemon itself.
    guests = [_pid(file) for file in files if file.name != "driver.pid"]
    for pid in (*guests, daemon):
        try:
            if pid:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        return


def _pid(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
