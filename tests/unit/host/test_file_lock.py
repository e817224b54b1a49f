# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.file_lock: a file is locked exactly as long as the locking process lives."""

import time
from pathlib import Path

import pytest

from harness.errors import CacheBusy
from harness.host import file_lock


def test_a_file_counts_as_locked_only_while_its_lock_is_held(tmp_path: Path) -> None:
    """A file counts as locked only while its lock is held; a missing file is not locked."""
    path = tmp_path / "lock"
    assert not file_lock.is_locked(path)

    with path.open("w") as first, path.open("r") as second:
        assert file_lock.try_lock(first)
        assert file_lock.is_locked(path)
        assert not file_lock.try_lock(second)

    assert not file_lock.is_locked(path)


def test_waiting_for_a_held_lock_raises_cache_busy_when_its_deadline_is_over(
    tmp_path: Path,
) -> None:
    """A free lock is taken at once, and waiting for a held one ends in CacheBusy."""
    path = tmp_path / "lock"
    begun = time.monotonic()

    with path.open("w") as first, path.open("r") as second:
        file_lock.lock(first, deadline_s=0.0)
        with pytest.raises(CacheBusy, match="still locked"):
            file_lock.lock(second, deadline_s=0.2)

    assert 0.2 <= time.monotonic() - begun < 10
