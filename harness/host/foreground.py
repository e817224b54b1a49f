# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run a program that has the terminal, such as a debugger: Ctrl-C is its business, not ours."""

import signal
import subprocess
from collections.abc import Sequence
from types import FrameType


def run(command: Sequence[str]) -> int:
    """Return the exit code of a program that was given the terminal."""
    before = signal.signal(signal.SIGINT, _leave)
    try:
        return subprocess.run(command, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Do nothing; a handler, unlike SIG_IGN, is not handed on to the program."""
