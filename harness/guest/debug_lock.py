# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The lock that a debugger takes on a run's guest; the kernel releases it with the process.

A debugger stops a guest, which then prints nothing. So code that waits for the guest must keep
waiting while the lock is taken.
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
    """Take the lock on the guest of a run for one debugger, for the duration of the block.

    Raises: UsageError that names the process of another debugger which has the lock.
    """
    file = folder / _LOCK
    # "a+" does not truncate: the file names the holder until this process has the lock.
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
    """Return whether a debugger is attached to the guest of a run now."""
    return file_lock.is_locked(folder / _LOCK)
