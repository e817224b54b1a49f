# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of artefacts.source_copy: source files are copied, and only changes are copied again."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.artefacts import source_copy


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give a module's folder after a make: sources, build products, and files of other tools."""
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
    """Return the names of all files in a folder."""
    return {str(path) for path in source_copy.files(folder)}


SOURCES = {"Makefile", "a.c", "blob.o", "sub/b.h", "sub/build/c.h", "notes.txt"}


def test_the_list_of_files_to_copy_omits_build_products_but_not_objects_without_a_source(
    source: Path,
) -> None:
    """Of a module's source copied for a build, a.o stays out; blob.o without blob.c is copied."""
    assert names(source) == SOURCES


def test_the_list_of_files_to_copy_omits_files_that_git_ignores_unless_git_tracks_them(
    source: Path,
) -> None:
    """Of a module's git checkout, new files are copied for a build, but not those in build/."""
    subprocess.run(["rm", "-r", source / ".git"], check=True)
    subprocess.run(["git", "init", "-q"], cwd=source, check=True)
    (source / ".gitignore").write_text("*.o\n*.ko\n*.mod.c\n.*.cmd\nModule.symvers\nnotes.txt\n")
    subprocess.run(["git", "add", "Makefile", "a.c", ".gitignore"], cwd=source, check=True)

    assert names(source) == {"Makefile", "a.c", ".gitignore", "sub/b.h", "sub/build/c.h"}

    subprocess.run(["git", "add", "-f", "build/out", "blob.o"], cwd=source, check=True)
    (source / "a.c").unlink()
    assert names(source) >= {"build/out", "blob.o"}
    assert "a.c" not in names(source)


def test_an_update_copies_changed_files_and_removes_deleted_ones_from_the_copy(
    source: Path, tmp_path: Path
) -> None:
    """The copy of a module's source keeps its build products, so make compiles less."""
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


def test_an_update_follows_a_folder_that_has_become_a_file_and_back(
    source: Path, tmp_path: Path
) -> None:
    """The copy has the source's file in place of its folder, and later the folder again."""
    copy = tmp_path / "copy" / "src"
    source_copy.mirror(source, copy)

    shutil.rmtree(source / "sub")
    (source / "sub").write_text("a file")
    source_copy.mirror(source, copy)
    assert (copy / "sub").read_text() == "a file"

    (source / "sub").unlink()
    (source / "sub").mkdir()
    (source / "sub" / "c.h").write_text("again")
    source_copy.mirror(source, copy)
    assert (copy / "sub" / "c.h").read_text() == "again"


def test_a_copy_keeps_links_inside_the_source_and_has_files_instead_of_links_to_outside(
    source: Path, tmp_path: Path
) -> None:
    """Links inside the source stay links; others become the file they lead to, or are left out."""
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


def test_links_that_lead_in_a_circle_are_left_out(tmp_path: Path) -> None:
    """A circular symbolic link is not copied for a build; the rest of the module's source is."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.c").write_text("")
    (source / "x").symlink_to("y")
    (source / "y").symlink_to("x")

    source_copy.mirror(source, tmp_path / "copy")

    assert os.listdir(tmp_path / "copy") == ["a.c"]
