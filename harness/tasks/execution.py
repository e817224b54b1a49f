# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run the body of a command, print its errors as sentences with a hint, return the exit code."""

import io
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from harness.errors import INTERRUPTED, PIPE_CLOSED, HarnessError, RunInterrupted

# One Ctrl-C may arrive twice within this time, from the terminal and from `timeout`.
_ONE_STROKE_S = 1.0


class Interrupt:
    """A signal handler that raises KeyboardInterrupt, at most once within a second.

    A terminal and `timeout` may both send the signal. A second exception at the same moment would
    interrupt the clean-up after the first one, for example while it holds a lock.
    """

    def __init__(self) -> None:
        self._last_s = -_ONE_STROKE_S

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, unless this was done within the last second, for any signal."""
        now = time.monotonic()
        if now - self._last_s >= _ONE_STROKE_S:
            self._last_s = now
            raise KeyboardInterrupt


def execute(body: Callable[[], int]) -> int:
    """Run the body of a command, print the error in which it ends, and return the exit code.

    Errors of the harness, of a disk or a folder, Ctrl-C and a closed pipe end in an exit code.
    Raises: every other error, because it is a fault of the harness.
    """
    _take_signals()
    _escape_what_stdout_cannot_show()
    try:
        code = body()
        # Flush here, so that a closed pipe raises inside this block and not at interpreter exit.
        sys.stdout.flush()
    except HarnessError as error:
        print_error(error)
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        if isinstance(interrupt, RunInterrupted):
            print("\n".join(interrupt.summary))
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    # It is an OSError, too, so it comes before the errors of a disk.
    except BrokenPipeError:
        drop_output()
        return PIPE_CLOSED
    except OSError as error:
        return _end_by_disk(error)
    return code


def _escape_what_stdout_cannot_show() -> None:
    """Have a character that a terminal's encoding does not have written as its escape.

    A kernel log may contain any character, and a locale need not be one of UTF-8.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _end_by_disk(error: OSError) -> int:
    """Print what is wrong with a disk or a folder, such as a full disk; return the exit code.

    Raises: the error itself when its cause is not a disk or folder, because the harness is at
        fault.
    """
    from harness.host import config, disk_errors

    try:
        project = config.load_nearest(Path.cwd()).root
    except HarnessError:
        # A command such as panic-explain needs no configuration.
        project = Path.cwd()
    explained = disk_errors.explain(error, config.environment(), project)
    if explained is None:
        raise error
    print_error(explained)
    return explained.exit_code


def print_error(error: HarnessError) -> None:
    """Print an error's evidence, its message and its hint to standard error."""
    for line in error.evidence:
        print(f"  | {line}", file=sys.stderr)
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)


def _take_signals() -> None:
    handler = Interrupt()
    for number in (signal.SIGTERM, signal.SIGINT):
        # A script that starts the command in the background causes SIGINT to be ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def drop_output() -> None:
    """Discard what stdout still buffers, so that it is not written to a closed pipe at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
