# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Hooks of pytest for folders with tests that only the long form runs: import them in conftest."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", "long: only with --long: minutes, or more tools")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect, and so count, what only the long form runs."""
    if config.getoption("--long"):
        return
    late = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=late)
    items[:] = [item for item in items if item not in late]
