# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.cache: keys depend on content, folders appear whole, locks name their holder."""

import errno
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from harness.errors import CacheBusy, Lost
from harness.host import cache


def test_moving_a_byte_between_parts_or_changing_a_file_changes_the_cache_key(
    tmp_path: Path,
) -> None:
    """The parts ab, c and a, bc give different keys; a Path stands for its file's content."""
    file = tmp_path / "file"
    file.write_text("content")
    first = cache.key_of("ab", "c", file)

    assert first == cache.key_of(b"ab", "c", file)
    assert first != cache.key_of("a", "bc", file)
    file.write_text("other")
    assert first != cache.key_of("ab", "c", file)
    assert len(first) == 16


def test_a_published_folder_appears_only_when_complete(tmp_path: Path) -> None:
    """A cache folder gets its final name only when the with block that fills it has ended."""
    final = tmp_path / "kinds" / "thing"

    with cache.publish(final) as folder:
        (folder / "part").write_text("1")
        assert not final.exists()

    assert (final / "part").read_text() == "1"
    assert os.listdir(final.parent) == ["thing"]


def test_an_error_while_a_cache_folder_is_being_filled_leaves_no_folder_behind(
    tmp_path: Path,
) -> None:
    """After an error in the block, neither the final nor a temporary folder exists."""
    final = tmp_path / "thing"

    with pytest.raises(ValueError, match="half"), cache.publish(final) as folder:
        (folder / "part").write_text("1")
        raise ValueError("half")

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("failure", [OSError(errno.EIO, "I/O error"), KeyboardInterrupt()])
def test_if_the_new_folder_cannot_be_renamed_the_earlier_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    """A failed replacement of a cache folder gives the earlier folder its name back."""
    final = tmp_path / "thing"
    with cache.publish(final) as folder:
        (folder / "part").write_text("earlier")
    rename = Path.rename

    def fail_for_the_new(self: Path, target: Path) -> Path:
        if (self / "new").exists():
            raise failure
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new)
    with pytest.raises(type(failure)), cache.publish(final) as folder:
        (folder / "new").write_text("")

    assert (final / "part").read_text() == "earlier"
    assert os.listdir(tmp_path) == ["thing"]


def test_publishing_a_folder_removes_temporary_folders_of_dead_but_not_of_living_processes(
    tmp_path: Path,
) -> None:
    """Temporary cache folders carry the process id of their maker."""
    dead, alive = tmp_path / ".thing.999999999.tmp", tmp_path / ".thing.1.tmp"
    dead.mkdir()
    alive.mkdir()

    with cache.publish(tmp_path / "thing"):
        pass

    assert sorted(os.listdir(tmp_path)) == [".thing.1.tmp", "thing"]


def test_the_error_for_a_full_disk_names_the_folder_and_free_space(tmp_path: Path) -> None:
    """The error of a full disk has the folder, the free space and a hint."""
    with pytest.raises(Lost) as caught, cache.publish(tmp_path / "thing"):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert str(tmp_path) in caught.value.message
    assert "MiB are free" in caught.value.message
    assert "HARNESS_CACHE" in caught.value.hint
    assert os.listdir(tmp_path) == []


def _hold(path: Path, ready: "multiprocessing.synchronize.Event") -> None:
    with cache.lock(path, what="thing", deadline_s=5, progress=lambda _text: None):
        ready.set()
        time.sleep(60)


def test_waiting_for_a_held_lock_names_its_process_and_killing_it_frees_the_lock(
    tmp_path: Path,
) -> None:
    """A wait for a cache folder's lock says who holds it and ends in CacheBusy."""
    path, progress = tmp_path / "lock", list[str]()
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(path, ready))
    holder.start()
    assert ready.wait(10)

    with (
        pytest.raises(CacheBusy, match=f"process {holder.pid}"),
        cache.lock(path, what="thing", deadline_s=0.3, progress=progress.append),
    ):
        pass
    holder.kill()
    holder.join(10)

    assert f"process {holder.pid}" in progress[0]
    with cache.lock(path, what="thing", deadline_s=0.3, progress=progress.append):
        pass


def test_long_unused_cache_folders_are_removed_but_recent_and_temporary_ones_stay(
    tmp_path: Path,
) -> None:
    """Cache folders that were long unused are removed; recent and temporary ones stay."""
    for name in ("old", "new", ".half.1.tmp"):
        (tmp_path / name).mkdir()
    for name in ("old", ".half.1.tmp"):
        os.utime(tmp_path / name, (1, 1))

    cache.forget_unused(tmp_path)

    assert sorted(os.listdir(tmp_path)) == [".half.1.tmp", "new"]


def test_the_size_of_a_folder_excludes_holes(tmp_path: Path) -> None:
    """A sparse file in a cache folder counts only its allocated blocks."""
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    (tmp_path / "full").write_bytes(bytes(65536))

    assert 65536 <= cache.size_bytes(tmp_path) < 1 << 20
