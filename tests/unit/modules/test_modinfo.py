# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of modules.modinfo: modinfo's output gives the order in which modules are loaded."""

from pathlib import Path

import pytest

from harness.errors import BuildError
from harness.modules import modinfo
from harness.modules.modinfo import ModInfo

TEXT = """filename:       /o/jool.ko
license:        GPL
firmware:       a/b.fw
softdep:        pre: soft-one post: later
depends:        jool_common,nf_conntrack
vermagic:       6.1 SMP
parm:           x:number: with a colon (int)
filename:       /o/jool-common.ko
depends:
"""
COMMON = ModInfo(file=Path("/o/jool-common.ko"))
JOOL = ModInfo(
    file=Path("/o/jool.ko"), depends=("jool_common", "nf_conntrack"), soft=("soft_one",)
)
OTHER = ModInfo(file=Path("/o/other.ko"))


def test_modinfo_text_of_two_modules_gives_names_dependencies_pre_softdeps_and_firmware() -> None:
    """Names of soft dependencies get underscores; those after `post:` are left out."""
    first, second = modinfo.parse(TEXT)

    assert (first.name, second.name) == ("jool", "jool-common")
    assert first.depends == ("jool_common", "nf_conntrack")
    assert (first.soft, first.firmware) == (("soft_one",), ("a/b.fw",))
    assert second.depends == ()


def test_modules_that_the_chosen_module_depends_on_come_before_it_in_the_load_order() -> None:
    """A module is loaded after those that it needs; others only if a pattern names them."""
    assert modinfo.chosen("jool", (), (JOOL, COMMON, OTHER)) == (COMMON, JOOL)
    assert modinfo.chosen("jool", ("*",), (JOOL, OTHER, COMMON)) == (COMMON, JOOL, OTHER)


def test_if_module_a_depends_on_b_and_b_has_a_soft_dependency_on_a_then_b_is_loaded_before_a() -> (
    None
):
    """A circle of a hard and a soft dependency ends in one order, each module once."""
    one = ModInfo(file=Path("a.ko"), depends=("b",))
    two = ModInfo(file=Path("b.ko"), soft=("a",))

    assert modinfo.chosen("a", (), (one, two)) == (two, one)


def test_the_load_plan_has_required_kernel_modules_then_optional_ones_then_built_modules() -> None:
    """The plan that a guest follows has lines of modprobe, try and insmod, in this order."""
    plan = modinfo.load_plan((COMMON, JOOL), needs=("x-y",))

    assert plan.splitlines() == [
        *("modprobe x_y", "modprobe nf_conntrack", "try soft_one"),
        *("insmod jool-common", "insmod jool"),
    ]


def test_modprobe_conf_has_no_hardware_aliases_and_an_install_line_with_dependencies() -> None:
    """The text keeps the alias ipt_X, not pci:v1*; its install line loads the dependency first."""
    (found,) = modinfo.parse("filename: /o/a-b.ko\nalias: ipt_X\nalias: pci:v1*\ndepends: c\n")

    alias, install = modinfo.modprobe_conf((found,), "/run/h").splitlines()

    assert alias == "alias ipt_X a_b"
    assert install.startswith("install a_b for need in c; do /sbin/modprobe $need; done; ")
    assert install.endswith("/sbin/insmod /run/h/a-b.ko && : > /run/h/a-b.in")


def test_a_file_that_is_not_a_module_is_refused(tmp_path: Path) -> None:
    """A file that is not a module raises BuildError."""
    file = tmp_path / "a.ko"
    file.write_text("text")

    with pytest.raises(BuildError, match="modinfo cannot read"):
        modinfo.read((file,))


def test_a_modinfo_that_does_not_end_in_time_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a deadline of 0 s for modinfo, read raises BuildError: it did not end in 0 s."""
    monkeypatch.setattr(modinfo, "_DEADLINE_S", 0.0)

    with pytest.raises(BuildError, match="modinfo did not end in 0 s"):
        modinfo.read((tmp_path / "a.ko",))
