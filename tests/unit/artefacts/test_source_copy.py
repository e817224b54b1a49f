# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""source_copy: what belongs to a source is copied, what has changed is brought, nothing else."""

import subprocess
from pathlib import Path

import pytest

from harness.artefacts import source_copy


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give a module's folder as it looks after a make: sources, products, what others left."""
    root = tmp_path / "source"
    for name in (
        *("Makefile", "a.c", "a.o", "a.ko", "a.mod.c", ".a.o.cmd", "Module.symvers"),
        *("blob.o", "sub/b.h", "build/out", "sub/build/c.h", ".git/config", "notes.txt"),
    ):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return root


def names(folder: Path) -> set[str]:
    """Return the files of a folder."""
    return {str(path) for path in source_copy.files(folder)}


SOURCES = {"Makefile", "a.c", "blob.o", "sub/b.h", "sub/build/c.h", "notes.txt"}


def test_products_are_no_source(source: Path) -> None:
    """An object without a source beside it was delivered so; build/ is one at the top only."""
    assert names(source) == SOURCES


def test_git_says_what_is_ignored(source: Path) -> None:
    """New files belong to the source, ignored ones and what is new in build/ do not."""
    subprocess.run(["rm", "-r", source / ".git"], check=True)
    subprocess.run(["git", "init", "-q"], cwd=source, check=True)
    (source / ".gitignore").write_text("*.o\n*.ko\n*.mod.c\n.*.cmd\nModule.symvers\nnotes.txt\n")
    subprocess.run(["git", "add", "Makefile", "a.c", ".gitignore"], cwd=source, check=True)

    assert names(source) == {"Makefile", "a.c", ".gitignore", "sub/b.h", "sub/build/c.h"}

    subprocess.run(["git", "add", "-f", "build/out", "blob.o"], cwd=source, check=True)
    (source / "a.c").unlink()
    assert names(source) >= {"build/out", "blob.o"}
    assert "a.c" not in names(source)


def test_a_copy_is_brought_up_to_date(source: Path, tmp_path: Path) -> None:
    """Changed files are written, gone ones removed, what a build made there stays."""
    copy = tmp_path / "copy" / "src"
    source_copy.mirror(source, copy)
    (copy / "made.o").write_text("object")
    before = (copy / "a.c").stat().st_ino, (copy / "a.c").stat().st_mtime_ns

    (source / "notes.txt").unlink()
    (source / "sub" / "b.h").write_text("changed")
    source_copy.mirror(source, copy)

    assert not (copy / "notes.txt").exists()
    assert (copy / "sub" / "b.h").read_text() == "changed"
    assert (copy / "made.o").exists()
    assert ((copy / "a.c").stat().st_ino, (copy / "a.c").stat().st_mtime_ns) == before


def test_links_stay_links_inside(source: Path, tmp_path: Path) -> None:
    """A link out of the source becomes the file that it leads to; one to nowhere is left out."""
    outside = tmp_path / "outside.h"
    outside.write_text("outside")
    (source / "inner").symlink_to("sub")
    (source / "outer.h").symlink_to(outside)
    (source / "nowhere").symlink_to(tmp_path / "nothing")
    copy = tmp_path / "copy" / "src"

    source_copy.mirror(source, copy)
    source_copy.mirror(source, copy)

    assert (copy / "inner").is_symlink()
    assert (copy / "inner" / "b.h").read_text() == "sub/b.h"
    assert not (copy / "outer.h").is_symlink()
    assert (copy / "outer.h").read_text() == "outside"
    assert not (copy / "nowhere").exists()
    assert "sub" in list(source_copy.contents(source))
