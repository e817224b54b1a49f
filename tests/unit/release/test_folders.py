# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of release.folders: a release is published completely or not at all."""

import errno
import shutil
from pathlib import Path

import pytest

from harness.errors import Lost
from harness.release import folders


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Give the folder of a new release, which has a file and a folder with a file."""
    folder = tmp_path / "made"
    (folder / "symbols").mkdir(parents=True)
    (folder / "new.tar.gz").write_text("new\n")
    (folder / "symbols" / "new.ko").write_text("new\n")
    folders.write_sums(folder)
    return folder


@pytest.fixture
def final(tmp_path: Path) -> Path:
    """Give the folder of an older release."""
    folder = tmp_path / "packages" / "1.0"
    folder.mkdir(parents=True)
    (folder / "old.tar.gz").write_text("old\n")
    folders.write_sums(folder)
    return folder


def names(folder: Path) -> list[str]:
    """Return the paths of everything in a folder, relative to it."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_published_release_replaces_the_older_one(made: Path, final: Path) -> None:
    """The folder of release files has only those of the new release."""
    folders.publish(made, final)

    assert names(final) == names(made) == ["SHA256SUMS", "new.tar.gz", "symbols", "symbols/new.ko"]
    assert names(final.parent)[0] == "1.0"


def test_the_older_release_stays_when_the_disk_becomes_full(
    made: Path, final: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk while a release is copied raises Lost, and no part of the copy is left."""
    before, copy = names(final.parent), shutil.copy2

    def copy_until_full(source: Path, target: Path, **options: bool) -> object:
        if str(source).endswith("new.ko"):
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return copy(source, target, **options)

    monkeypatch.setattr(shutil, "copy2", copy_until_full)

    with pytest.raises(Lost, match="the disk is full"):
        folders.publish(made, final)

    assert names(final.parent) == before
