# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Fixtures of the tests that run the harness as a whole."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.long_form import pytest_collection_modifyitems, pytest_configure
from tests.system.whole_run import RUNTIME, Project, copy_example, processes_of_ours

__all__ = ["pytest_collection_modifyitems", "pytest_configure"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Give a copy of the example project that a test may change."""
    return copy_example(tmp_path / "project")


@pytest.fixture(scope="session", autouse=True)
def runtime() -> Iterator[None]:
    """Remove the folder for sockets at the end; only the harness's own may be in it."""
    yield
    assert [path for path in RUNTIME.glob("*/*") if path.is_dir()] == []
    shutil.rmtree(RUNTIME)


@pytest.fixture
def nothing_left() -> Iterator[Callable[[], set[str]]]:
    """Check that the test leaves no guest and no daemon behind."""
    before = processes_of_ours()
    yield lambda: processes_of_ours() - before
    assert processes_of_ours() - before == set()
