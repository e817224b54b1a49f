# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build the tested code before the tests import it, and provide shared fixtures."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import busy_machine
from tests.subscriber import building

building.build()

from tests.subscriber.host import Host  # noqa: E402 - imports what was just built

__all__ = ["busy_machine"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder with a path short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="osq-") as name:
        yield Path(name)


@pytest.fixture
def host(folder: Path) -> Iterator[Host]:
    """Give a running device of user space."""
    with Host(folder) as running:
        yield running
