# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The lock that shows that a debugger holds a run's guest; it is released with its process.

A guest that a debugger holds is stopped and silent on purpose, so whoever waits for the guest
must go on waiting.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import UsageError
from harness.host import file_lock

_LOCK = "debugger.lock"


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold the guest of a run for one debugger.

    Raises: UsageError with the process that already holds it.
    """
    file = folder / _LOCK
    with file.open("a+") as lock:
        if not file_lock.try_lock(lock):
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise UsageError(
                f"the guest of run {folder.name} is already held by a debugger, process {holder}",
                hint="quit that debugger first",
            )
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def is_held(folder: Path) -> bool:
    """Return whether a debugger holds the guest of a run now."""
    return file_lock.is_locked(folder / _LOCK)
