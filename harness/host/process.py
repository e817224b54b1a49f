# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run one command of a check until its deadline; a command that hangs prints its stacks first.

The command writes into a file, because a daemon that it leaves running would hold a pipe open.
It stays in the terminal's process group, so that Ctrl-C reaches it. At the deadline it gets
SIGABRT, at which pytest prints the stack of every thread; then all its processes are killed.
"""

import contextlib
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_DYING_S = 5.0
# The command got Ctrl-C, too: this is its time to stop guests before it is ended by force.
_CLEANING_S = 15.0
# Every command that `run` waits for, whatever the thread.
_running: set[subprocess.Popen[bytes]] = set()


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended: its exit status, None at the deadline, and every line that it wrote.

    At the deadline, a line for each of its child processes follows.
    """

    status: int | None
    lines: tuple[str, ...]


def run(command: Sequence[str], *, cwd: Path, deadline_s: float) -> Ended:
    """Run a command and return how it ended; for one that hangs, its child processes are listed.

    If an exception such as KeyboardInterrupt ends the wait, the command is ended first.
    Units: deadline_s is seconds from now.
    Raises: FileNotFoundError when the program does not exist.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        _running.add(process)
        try:
            status: int | None = process.wait(deadline_s)
            below: list[str] = []
        except subprocess.TimeoutExpired:
            status, below = None, _end(process)
        except BaseException:
            _interrupt(process)
            raise
        finally:
            _running.discard(process)
        output.seek(0)
        text = output.read().decode(errors="backslashreplace")
    return Ended(status=status, lines=(*text.splitlines(), *below))


def interrupt_running() -> None:
    """Interrupt every command that `run` waits for in another thread, and wait for their ends.

    Only the main thread gets Ctrl-C and SIGTERM; a thread that waits for a command does not.
    """
    commands = tuple(_running)
    for command in commands:
        command.send_signal(signal.SIGINT)
    for command in commands:
        _interrupt(command)


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """End a command that Ctrl-C may have reached: wait, send SIGINT, send SIGABRT, kill it.

    The command has time to clean up before each step. The steps end when the command ends.
    """
    for number in (signal.SIGINT, signal.SIGABRT):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_CLEANING_S)
            return
        process.send_signal(number)
    _end(process)


def _end(process: subprocess.Popen[bytes]) -> list[str]:
    """End a hanging command and all its child processes; return a line for each child."""
    children = descendants(process.pid)
    below = []
    for child in children:
        with contextlib.suppress(psutil.Error):
            below.append(f"running below: {child.pid} {' '.join(child.cmdline())[:200]}")
    # pytest prints the stack of every thread when it gets this signal.
    process.send_signal(signal.SIGABRT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_DYING_S)
    process.kill()
    process.wait()
    kill(children)
    return below


def descendants(pid: int) -> list[psutil.Process]:
    """Return every process below a process, [] when that process has ended."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


def kill(processes: Sequence[psutil.Process]) -> None:
    """Kill those of the processes that still live."""
    for one in processes:
        with contextlib.suppress(psutil.Error):
            one.kill()
