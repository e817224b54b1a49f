# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How often the crash that is repeated comes."""

import pytest

ROUNDS, LONG_ROUNDS = 2, 200


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give `crash_round` its numbers."""
    if "crash_round" in metafunc.fixturenames:
        many = LONG_ROUNDS if metafunc.config.getoption("--long") else ROUNDS
        metafunc.parametrize("crash_round", range(many))
