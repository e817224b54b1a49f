# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Fixtures that the driver's tests share."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.pytest_plugin import Driver
from harness.systems.ssh import Guest
from tests.guest.tailing import Tail, Tailing


@pytest.fixture
def tail(guest: Guest, driver: Driver) -> Tailing:
    """Give a function that runs osqtail around a block, with options."""
    assert driver.is_loaded()

    @contextmanager
    def running(options: str = "") -> Iterator[Tail]:
        running = Tail(guest, options)
        try:
            yield running
        except BaseException:
            # osqtail must have ended, or the next test would find the device in use.
            guest.run("pkill -KILL -x osqtail", deadline_s=20, check=False)
            raise

    return running
