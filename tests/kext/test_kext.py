# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The kext's own machine code does what it must, and keeps the rules of its kernel."""

from collections.abc import Callable

import pytest

from harness.kext.emulator.kernel import Kernel
from tests.kext.scenarios import SCENARIOS
from tests.kext.scenarios_records import the_queue_may_go_at_any_moment
from tests.kext.steps import Boot


@pytest.fixture(scope="module")
def boot(binary: bytes) -> Boot:
    """What boots an emulated kernel with the kext."""
    return lambda: Kernel(binary)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.__name__)
def test_scenario(boot: Boot, scenario: Callable[[Boot], None]) -> None:
    """The scenario holds, as its own docstring says it."""
    scenario(boot)


def test_the_queue_may_go_at_every_instruction(boot: Boot, request: pytest.FixtureRequest) -> None:
    """As the scenario, at each single instruction (--long), else at some."""
    the_queue_may_go_at_any_moment(boot, stride=1 if request.config.getoption("--long") else 29)
