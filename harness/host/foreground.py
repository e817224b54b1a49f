# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run a program that takes over the terminal, such as a debugger, and handles Ctrl-C itself."""

import signal
import subprocess
from collections.abc import Sequence
from types import FrameType


def run(command: Sequence[str]) -> int:
    """Run a program on the terminal and return its exit code.

    It is negative, the signal's number, for a program that a signal has ended. Meanwhile Ctrl-C is
    ignored in this process and reaches the program.
    """
    before = signal.signal(signal.SIGINT, _leave)
    try:
        return subprocess.run(command, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Ignore Ctrl-C in this process, and leave it to the program that has the terminal.

    Unlike SIG_IGN, a handler is not inherited by the program.
    """
