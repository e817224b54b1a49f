# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One command of a check, with a deadline: what hangs is made to say where, then ended whole.

The command writes into a file: a pipe would be held open by whatever daemon it leaves behind. It
stays in the terminal's process group, so that Ctrl-C reaches it. At its deadline it gets SIGABRT
first, at which pytest prints the stack of every thread.
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
_CLEANING_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended: its status, None when it hung, and every line it wrote."""

    status: int | None
    lines: tuple[str, ...]


def run(command: Sequence[str], *, cwd: Path, deadline_s: float) -> Ended:
    """Return how a command ended; one that hangs adds what was running below it.

    Units: deadline_s is seconds from now.
    Raises: FileNotFoundError for a program that is not there.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        )
        try:
            status: int | None = process.wait(deadline_s)
            below: list[str] = []
        except subprocess.TimeoutExpired:
            status, below = None, _end(process)
        except BaseException:
            _interrupt(process)
            raise
        said.seek(0)
        text = said.read().decode(errors="backslashreplace")
    return Ended(status=status, lines=(*text.splitlines(), *below))


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """Let a command clean up that the terminal has interrupted, or this process alone was."""
    for number in (signal.SIGINT, signal.SIGABRT):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_CLEANING_S)
            return
        process.send_signal(number)
    _end(process)


def _end(process: subprocess.Popen[bytes]) -> list[str]:
    """End a command and all below it; return a line for each: it may have been waited for."""
    children = descendants(process.pid)
    below = []
    for child in children:
        with contextlib.suppress(psutil.Error):
            below.append(f"running below: {child.pid} {' '.join(child.cmdline())[:200]}")
    process.send_signal(signal.SIGABRT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_DYING_S)
    process.kill()
    process.wait()
    kill(children)
    return below


def descendants(pid: int) -> list[psutil.Process]:
    """Return every process below one, none when it is gone."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


def kill(processes: Sequence[psutil.Process]) -> None:
    """Kill those of these processes that still live."""
    for one in processes:
        with contextlib.suppress(psutil.Error):
            one.kill()
