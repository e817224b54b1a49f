# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build one release for all tests of packages."""

from pathlib import Path

import pytest

from harness.release.packages import Release
from harness.release.signing import SigningKey, own
from tests.long_form import pytest_collection_modifyitems, pytest_configure
from tests.packages.releases import make_release

__all__ = ["pytest_collection_modifyitems", "pytest_configure"]


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    """Return a signing key that no machine trusts."""
    return own(tmp_path_factory.mktemp("keys") / "signing", name="key of a test")


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Release:
    """Return a release of this tree for the default target's kernel."""
    folder: Path = tmp_path_factory.mktemp("release")
    return make_release(folder / "out", key=key)
