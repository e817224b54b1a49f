# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Fixtures of the builds against changed headers."""

from pathlib import Path

import pytest

from harness.artefacts import kernels
from harness.host import config
from tests.builds.edited_headers import EditedHeaders, copy_headers

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def cached_kdir() -> Path:
    """Give the headers of the default target's kernel, which every run of the harness needs."""
    settings = config.load(PROJECT / "pyproject.toml")
    name = settings.targets[settings.default_target].kernel
    cache = config.environment().cache
    return kernels.ensure(name, settings.kernels[name], root=cache, progress=print).kdir


@pytest.fixture
def headers(cached_kdir: Path, tmp_path: Path) -> EditedHeaders:
    """Give a copy of these headers for one test to change."""
    return copy_headers(cached_kdir, tmp_path)
