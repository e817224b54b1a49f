# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The test bodies that every system runs, on the Linux module in a guest."""

from collections.abc import Callable, Iterator

import pytest

from harness.model.settings import System
from harness.pytest_plugin import Driver
from harness.systems.ssh import Guest
from tests.shared.bodies import BODIES
from tests.shared.client import Loaded
from tests.shared.over_ssh import Place, loaded_over_ssh

_ANSWER_S = 60.0
_PLACE = Place(
    system=System.LINUX,
    program="/usr/local/bin/osqpeer",
    command="exec /usr/local/bin/osqpeer",
    folder="/usr/local/bin",
)


@pytest.fixture
def loaded(guest: Guest, driver: Driver) -> Iterator[Loaded]:
    """Load the module for a test, and return it."""
    assert driver.is_loaded()
    with loaded_over_ssh(guest, _PLACE, limit_s=_ANSWER_S) as found:
        yield found


@pytest.mark.parametrize("body", BODIES, ids=lambda one: one.__name__)
def test_each_device_check_that_linux_and_macos_share_passes_on_linux(
    driver: Driver, loaded: Loaded, body: Callable[[Loaded], None]
) -> None:
    """Each test body of tests/shared passes on the module in a guest, which is then unloaded."""
    body(loaded)

    driver.unload()
