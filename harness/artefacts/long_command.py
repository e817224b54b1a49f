# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run one command of a build with its output in a log, and report its progress meanwhile."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BuildError

Progress = Callable[[str], None]

_POLL_S = 0.1
# A user who sees nothing for longer believes that the build hangs.
_TELL_EVERY_S = 15.0
_ENDING_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Watch:
    """The settings for watching a long command: log, deadline, and receiver of progress lines."""

    what: str
    log: Path
    deadline_s: float
    progress: Progress


def run(
    command: Sequence[str], watch: Watch, *, cwd: Path, env: Mapping[str, str] | None = None
) -> int:
    """Run a command with its output appended to the log, and return the command's exit status.

    Without `env` the command gets this process's environment. If an exception ends the call, the
    command and the other processes in its process group are killed. Processes in the background
    that a command leaves when it ends by itself are not killed.
    Raises: BuildError at the deadline, FileNotFoundError for a missing program.
    """
    with watch.log.open("a") as output, ExitStack() as stack:
        with _interrupts_held():
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # `_end` then kills everything that the command has started.
                start_new_session=True,
            )
            stack.callback(_end, process)
        return _wait(process, watch)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM take effect when the block has ended, and not in the midst of it.

    An exception in the call that starts a process would leave the process without an owner.
    """
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread handles signals.
        yield
        return
    held: list[int] = []
    before = {
        number: signal.signal(number, lambda received, _frame: held.append(received))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for received in held:
        signal.raise_signal(received)


def _wait(process: subprocess.Popen[bytes], watch: Watch) -> int:
    begun = time.monotonic()
    told = begun
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(_POLL_S)
        now = time.monotonic()
        if now - begun > watch.deadline_s:
            raise BuildError(
                f"{watch.what} took over {watch.deadline_s:.0f} s",
                hint=f"build_deadline_s in [tool.harness.module] sets that; its log: {watch.log}",
            )
        if now - told >= _TELL_EVERY_S:
            told = now
            watch.progress(f"{watch.what}: {now - begun:.0f} s, {_latest(watch.log)}")


def _latest(log: Path) -> str:
    """Return the number of lines in the log and the last line, as the text of a progress line."""
    lines = log.read_text(errors="backslashreplace").splitlines()
    last = lines[-1].strip() if lines else "nothing written yet"
    return f"{len(lines)} lines; {last[-80:]}"


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_ENDING_S)
