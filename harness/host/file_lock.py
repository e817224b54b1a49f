# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Locks on open files, which the kernel releases when the process that took them ends.

So a lock file shows whether its process still lives: a free lock belongs to a process that ended.
"""

import fcntl
import time
from pathlib import Path
from typing import IO

from harness.errors import CacheBusy

_POLL_S = 0.01


def try_lock(file: IO[str]) -> bool:
    """Lock an open file and return True, or return False while another process holds the lock."""
    try:
        # flock, not lockf: a POSIX lock is lost when the process closes any descriptor of the
        # file, as `is_locked` does.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock(file: IO[str], *, deadline_s: float) -> None:
    """Lock an open file; wait for the lock, which other processes take only for moments.

    Units: deadline_s is seconds of waiting.
    Raises: CacheBusy at the deadline.
    """
    end = time.monotonic() + deadline_s
    while not try_lock(file):
        if time.monotonic() > end:
            raise CacheBusy(f"{file.name} is still locked after {deadline_s:.0f} s")
        time.sleep(_POLL_S)


def is_locked(path: Path) -> bool:
    """Return whether a living process has locked a file; False for a missing file."""
    try:
        with path.open("r") as file:
            return not try_lock(file)
    except FileNotFoundError:
        return False
