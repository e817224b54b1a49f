# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One release that the tests share, and the marker of what only the long form runs."""

from pathlib import Path

import pytest

from harness.release.packages import Release
from harness.release.signing import SigningKey, own
from tests.packages.releases import make_release


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


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    """Give a key that no machine trusts."""
    return own(tmp_path_factory.mktemp("keys") / "signing", name="key of a test")


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Release:
    """Give a release of this tree for the default target's kernel."""
    folder: Path = tmp_path_factory.mktemp("release")
    return make_release(folder / "out", key=key)
