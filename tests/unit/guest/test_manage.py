# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of guest.manage: the list of the cache is complete, and a clean leaves nothing of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.guest import manage
from harness.host import config
from harness.model.environment import Environment

_FILE_BYTES = 1 << 20
_PLACES = ("headers/6.1.0-0123", "builds/0123/module", "dkms/x-1", "apt/trixie", "libvirt")


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Give an environment whose cache has a file of 1 MiB in each of _PLACES."""
    for place in _PLACES:
        folder = tmp_path / "cache" / place
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"x" * _FILE_BYTES)
    # A path of pytest can be too long for a runtime folder from the environment, which would then
    # be replaced by the user's own one with its guests.
    variables = {"HARNESS_CACHE": str(tmp_path / "cache")}
    return replace(config.environment(variables), runtime=tmp_path / "runtime")


def test_the_total_of_the_cache_list_counts_headers_builds_and_the_files_of_apt(
    environment: Environment,
) -> None:
    """The list of the cache's contents has a row for each folder; its total is all of them."""
    *rows, total = manage.cache_table(environment)

    assert [row.split()[0] for row in rows] == ["6.1.0", "builds", "dkms", "apt", "libvirt"]
    assert total == f"{len(_PLACES)} MiB in {environment.cache}"


def test_a_clean_of_everything_leaves_the_cache_empty(
    environment: Environment, tmp_path: Path
) -> None:
    """The task clean with `cache` removes all that the harness has put into its cache."""
    removed = list(manage.clean(environment, tmp_path, cache=True, runs=False))

    assert list(environment.cache.iterdir()) == []
    assert f"removed {environment.cache / 'headers'}" in removed
