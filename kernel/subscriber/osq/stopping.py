# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A wish to stop, from a signal or another thread, that poll can wait for."""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Not set at first; once set, for good."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.is_set = False

    def set(self) -> None:
        """Ask for an end; may be called in a signal handler."""
        self.is_set = True
        os.eventfd_write(self._fd, 1)

    def fileno(self) -> int:
        """Return a descriptor that is readable from `set` on."""
        return self._fd

    def wait(self, timeout_s: float) -> bool:
        """Return whether it was set, at the latest after so long."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        poll.poll(timeout_s * 1000)
        return self.is_set

    def close(self) -> None:
        """Free the descriptor."""
        os.close(self._fd)


@contextmanager
def stopping_on_signals() -> Iterator[Stop]:
    """Give a Stop that SIGTERM and SIGINT set."""
    stop = Stop()

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {one: signal.signal(one, handle) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.close()
