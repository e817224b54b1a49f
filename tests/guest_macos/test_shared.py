# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run the shared test bodies on the kext of a Mac; not verified on hardware."""

from collections.abc import Callable, Iterator

import pytest

from harness.pytest_plugin import Driver
from harness.systems.ssh import Guest
from tests.shared.bodies import BODIES
from tests.shared.client import Loaded
from tests.shared.over_ssh import Place, loaded_over_ssh

_ANSWER_S = 30.0


@pytest.fixture
def loaded(guest: Guest, driver: Driver, place: Place) -> Iterator[Loaded]:
    """Give the kext of the Mac, loaded."""
    assert driver.is_loaded()
    with loaded_over_ssh(guest, place, limit_s=_ANSWER_S) as found:
        yield found


@pytest.mark.parametrize("body", BODIES, ids=lambda one: one.__name__)
def test_each_test_body_that_linux_and_macos_share_passes_on_the_kext_of_a_mac(
    loaded: Loaded, body: Callable[[Loaded], None]
) -> None:
    """Each test body of tests/shared passes on the loaded kext of a user's Mac."""
    body(loaded)
