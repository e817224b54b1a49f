# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Set how often the repeated crash happens."""

import pytest

ROUNDS, LONG_ROUNDS = 2, 200


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test with the parameter `crash_round` 2 rounds, or 200 in the long form."""
    if "crash_round" in metafunc.fixturenames:
        many = LONG_ROUNDS if metafunc.config.getoption("--long") else ROUNDS
        metafunc.parametrize("crash_round", range(many))
