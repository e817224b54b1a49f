# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""modinfo: from what modules say of themselves to the order in which they are loaded."""

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


def test_the_output_is_read() -> None:
    """Names come as the kernel writes them; what comes after a module is no need."""
    first, second = modinfo.parse(TEXT)

    assert (first.name, second.name) == ("jool", "jool-common")
    assert first.depends == ("jool_common", "nf_conntrack")
    assert (first.soft, first.firmware) == (("soft_one",), ("a/b.fw",))
    assert second.depends == ()


def test_what_is_needed_comes_first() -> None:
    """The module in question with what it needs; others only when they are asked for."""
    assert modinfo.chosen("jool", (), (JOOL, COMMON, OTHER)) == (COMMON, JOOL)
    assert modinfo.chosen("jool", ("*",), (JOOL, OTHER, COMMON)) == (COMMON, JOOL, OTHER)


def test_a_circle_ends() -> None:
    """Two modules that name each other are loaded in the order in which they were given."""
    one = ModInfo(file=Path("a.ko"), depends=("b",))
    two = ModInfo(file=Path("b.ko"), soft=("a",))

    assert modinfo.chosen("a", (), (one, two)) == (two, one)


def test_the_plan_has_the_kernels_modules_first() -> None:
    """Those that must be there, those that are a wish, then what was built."""
    plan = modinfo.load_plan((COMMON, JOOL), needs=("x-y",))

    assert plan.splitlines() == [
        *("modprobe x_y", "modprobe nf_conntrack", "try soft_one"),
        *("insmod jool-common", "insmod jool"),
    ]


def test_modules_find_each_other_while_they_run() -> None:
    """By name and alias, with what they need; an alias of hardware is udev's business."""
    (found,) = modinfo.parse("filename: /o/a-b.ko\nalias: ipt_X\nalias: pci:v1*\ndepends: c\n")

    alias, install = modinfo.modprobe_conf((found,), "/run/h").splitlines()

    assert alias == "alias ipt_X a_b"
    assert install.startswith("install a_b for need in c; do /sbin/modprobe $need; done; ")
    assert install.endswith("/sbin/insmod /run/h/a-b.ko && : > /run/h/a-b.in")


def test_what_is_no_module_is_refused(tmp_path: Path) -> None:
    """Modinfo's own words are the evidence."""
    file = tmp_path / "a.ko"
    file.write_text("text")

    with pytest.raises(BuildError, match="modinfo cannot read"):
        modinfo.read((file,))
