# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A request to stop, set by a signal or another thread; poll can wait for it."""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """A request to end the program, set by a signal handler or a thread; poll can wait for it."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.is_set = False

    def set(self) -> None:
        """Request that the program stops; this is safe in a signal handler."""
        self.is_set = True
        os.eventfd_write(self._fd, 1)

    def fileno(self) -> int:
        """Return a file descriptor that becomes readable when `set` is called."""
        return self._fd

    def wait(self, timeout_s: float) -> bool:
        """Wait up to this long for the stop request, and return whether it has been set."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        poll.poll(timeout_s * 1000)
        return self.is_set

    def close(self) -> None:
        """Close the file descriptor that shows the stop request."""
        os.close(self._fd)


@contextmanager
def stopping_on_signals() -> Iterator[Stop]:
    """Provide a Stop that SIGTERM and SIGINT set while the block runs."""
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
