# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of modules.makefiles: modules and kernel variables are read from a Kbuild or Makefile."""

from pathlib import Path

import pytest

from harness.modules import makefiles


def write(file: Path, text: str) -> Path:
    """Write a file, and make its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_modules_are_found_in_each_form_of_an_obj_m_line(tmp_path: Path) -> None:
    """A module's Makefile may use +=, $(CONFIG_X), variables, continued lines and folders."""
    text = (
        "NAME := a-b\n# obj-m := no.o\nobj-m += $(NAME).o c.o \\\n   d.o\n"
        "obj-$(CONFIG_E) = e.o\nobj-m += sub/\nf-objs := g.o\nobj-m += $(UNKNOWN).o\n"
    )
    file = write(tmp_path / "Makefile", text)
    write(tmp_path / "sub" / "Kbuild", "obj-m := h.o\n")

    assert makefiles.objects(file) == ("a-b", "c", "d", "e", "sub/")
    assert makefiles.modules(tmp_path) == ("a-b", "c", "d", "e", "h")


def test_of_several_makefiles_the_one_that_make_reads_is_taken(tmp_path: Path) -> None:
    """GNUmakefile is preferred to makefile, and makefile to Makefile."""
    for name in ("Makefile", "makefile", "GNUmakefile"):
        file = write(tmp_path / name, "all:\n")
        assert makefiles.makefile(tmp_path) == file


def test_only_a_file_with_obj_m_is_a_kbuild_file(tmp_path: Path) -> None:
    """A Makefile without obj-m is not a Kbuild file; a file Kbuild with obj-m is one."""
    write(tmp_path / "Makefile", "all:\n\tmake -C src\n")
    assert makefiles.kbuild_file(tmp_path) is None
    assert makefiles.makefile(tmp_path) == tmp_path / "Makefile"

    write(tmp_path / "Kbuild", "obj-m := a.o\n")
    assert makefiles.kbuild_file(tmp_path) == tmp_path / "Kbuild"


def test_the_make_command_sets_running_kernel_variables_to_placeholders_of_the_chosen_kernel(
    tmp_path: Path,
) -> None:
    """A Makefile's KVER and KDIR from `uname -r` get {release} and {kdir} of the make command."""
    text = (
        "KVER ?= $(shell uname -r)\nKDIR ?= /lib/modules/$(KVER)/build\nOTHER = /usr/lib\n"
        "modules:\n\t$(MAKE) -C $(KDIR)\n"
    )
    file = write(tmp_path / "Makefile", text)

    assert makefiles.make_command(file) == "make modules KVER={release} KDIR={kdir}"


def test_a_byte_order_mark_and_line_ends_of_windows_hide_no_module(tmp_path: Path) -> None:
    """Like make, the reader of Makefiles ignores a byte order mark; CR LF does no harm either."""
    (tmp_path / "Kbuild").write_bytes(b"\xef\xbb\xbfobj-m := a.o \\\r\n b.o\r\n")

    assert makefiles.modules(tmp_path) == ("a", "b")


@pytest.mark.parametrize(
    ("line", "modules"), [("./", ("a",)), ("../{here}/", ("a",)), ("below/", ("b", "a"))]
)
def test_folders_that_name_each_other_in_a_circle_are_read_once(
    tmp_path: Path, line: str, modules: tuple[str, ...]
) -> None:
    """If obj-m lines name their own folder or one above it, each module is in the result once."""
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "Kbuild").write_text("obj-m := ../ b.o\n")
    (tmp_path / "Kbuild").write_text(f"obj-m := {line.format(here=tmp_path.name)} a.o\n")

    assert makefiles.modules(tmp_path) == modules


def test_variables_that_would_make_a_text_of_gigabytes_are_not_replaced(tmp_path: Path) -> None:
    """A Kbuild file whose nested variables would make 27 million words gives no modules."""
    parts = {"A": "$(B) " * 300, "B": "$(C) " * 300, "C": "x.o " * 300}
    lines = [*(f"{name} = {value}" for name, value in parts.items()), "obj-m := $(A)", ""]
    (tmp_path / "Kbuild").write_text("\n".join(lines))

    assert makefiles.modules(tmp_path) == ()


def test_the_variables_that_switch_modules_on_are_found(tmp_path: Path) -> None:
    """The Kbuild lines obj-$(CONFIG_X) and obj-${CONFIG_Y} give the names of both variables."""
    file = tmp_path / "Kbuild"
    file.write_text("obj-m := a.o\nobj-$(CONFIG_X) += b.o\nobj-${CONFIG_Y} += c.o\n")

    assert makefiles.switches(file) == ("CONFIG_X", "CONFIG_Y")
