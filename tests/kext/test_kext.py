# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run every scenario on the kext's own machine code."""

from collections.abc import Callable

import pytest

from harness.kext.emulator.kernel import Kernel
from tests.kext.scenarios import SCENARIOS
from tests.kext.scenarios_records import queue_may_close_at_any_instruction
from tests.kext.steps import Boot


@pytest.fixture(scope="module")
def boot(binary: bytes) -> Boot:
    """Return a function that boots an emulated kernel with the kext."""
    return lambda: Kernel(binary)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.__name__)
def test_each_scenario_function_raises_no_error_on_the_emulated_kext(
    boot: Boot, scenario: Callable[[Boot], None]
) -> None:
    """Each scenario of tests/kext/scenarios.py passes on the kext's code in the emulator."""
    scenario(boot)


def test_closing_the_device_at_any_tested_instruction_of_a_callback_lets_both_end_without_error(
    boot: Boot, request: pytest.FixtureRequest
) -> None:
    """In the emulator, the owner closes the device at every 29th instruction (--long: at each)."""
    queue_may_close_at_any_instruction(
        boot, stride=1 if request.config.getoption("--long") else 29
    )
