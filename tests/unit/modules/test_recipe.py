# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of modules.recipe: the way to build a folder's module is concluded, with reasons."""

import os
from pathlib import Path

import pytest

from harness.modules import recipe

DKMS = 'PACKAGE_NAME="p"\nPACKAGE_VERSION="1"\nBUILT_MODULE_NAME[0]="m"\n'
HELLO = "module_init(hello_init);\n"


def folder(root: Path, **files: str) -> Path:
    """Write files into a folder; '__' in a name stands for a slash."""
    for name, text in files.items():
        file = root / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_a_dkms_conf_is_preferred_to_a_makefile(tmp_path: Path) -> None:
    """A dkms.conf decides how a module is built, even when a Makefile differs."""
    found = recipe.of_folder(folder(tmp_path, Makefile="obj-m := x.o\n"))
    assert found is not None
    assert found.name == "x"

    (tmp_path / "dkms.conf").write_text(DKMS)
    found = recipe.of_folder(tmp_path)
    assert found is not None
    assert (found.name, found.dkms) == ("m", tmp_path / "dkms.conf")
    assert found.because == ("dkms.conf of p 1 builds m.ko",)


def test_the_recipe_of_a_folder_whose_kbuild_file_has_one_module_names_that_module(
    tmp_path: Path,
) -> None:
    """A Kbuild file that names one module gives a recipe that loads this module."""
    found = recipe.of_folder(folder(tmp_path, Kbuild="obj-m := a.o\n"))

    assert found == recipe.Recipe(name="a", because=("Kbuild sets obj-m: kbuild builds a.ko",))


def test_the_recipe_for_two_modules_loads_all_and_is_named_after_the_one_named_like_the_folder(
    tmp_path: Path,
) -> None:
    """A folder my-b whose Makefile builds a and my_b gives a build recipe with the name my_b."""
    place = tmp_path / "my-b"
    found = recipe.of_folder(folder(place, Makefile="obj-m := a.o my_b.o\n"))

    assert found is not None
    assert (found.name, found.modules) == ("my_b", ("*",))


def test_a_kbuild_file_in_a_subfolder_is_used_for_the_recipe_but_not_one_in_the_folder_build(
    tmp_path: Path,
) -> None:
    """The build recipe of a folder comes from a Kbuild file below it, except in build/."""
    folder(tmp_path, build__Kbuild="obj-m := x.o\n", src__linux__Kbuild="obj-m := a.o\n")
    (tmp_path / ".hidden").mkdir()

    found = recipe.of_folder(tmp_path)

    assert found is not None
    assert (found.name, found.kbuild) == ("a", "src/linux")


@pytest.mark.parametrize("name", ["src__driver.c", "driver.c"])
def test_a_makefile_without_obj_m_gives_a_recipe_that_runs_make_for_the_module_of_the_c_file(
    tmp_path: Path, name: str
) -> None:
    """A Makefile that is not a Kbuild file is run, and the module's name comes from its source."""
    files = {"Makefile": "KDIR := /lib/modules/$(shell uname -r)/build\nall:\n", name: HELLO}
    found = recipe.of_folder(folder(tmp_path, **files))

    assert found is not None
    assert (found.name, found.make, found.modules) == ("driver", "make KDIR={kdir}", ("*",))


def test_a_folder_without_build_files_or_with_a_makefile_that_builds_no_module_has_no_recipe(
    tmp_path: Path,
) -> None:
    """How to build a module cannot be told from such a folder, so the result is None."""
    assert recipe.of_folder(folder(tmp_path, README="text\n")) is None
    assert recipe.of_folder(folder(tmp_path, Makefile="all:\n\ttrue\n")) is None


def test_c_files_that_are_no_files_are_not_read(tmp_path: Path) -> None:
    """A pipe, a folder or a dead link named x.c does not stop the search for modules."""
    (tmp_path / "Makefile").write_text("all:\n\ttrue\n")
    os.mkfifo(tmp_path / "pipe.c")
    (tmp_path / "folder.c").mkdir()
    (tmp_path / "link.c").symlink_to("nowhere")

    assert recipe.of_folder(tmp_path) is None
