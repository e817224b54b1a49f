# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Other people's modules need one command for a configuration and one for a verdict.

The packages are fetched by apt, not copied into this tree. Those whose build takes minutes run in
the long form.
"""

import tomllib
from pathlib import Path

import pytest

from tests.system.whole_run import call_task

SHORT = "acpi-call-dkms"
LONG = (
    "dm-writeboost-dkms",
    "iptables-netflow-dkms",
    "jool-dkms",
    "lttng-modules-dkms",
    "xtables-addons-dkms",
)
PACKAGES = [SHORT, *(pytest.param(name, marks=pytest.mark.long) for name in LONG)]
INIT_S = 3600.0
TEST_S = 1800.0
DKMS = """PACKAGE_NAME="hello"
PACKAGE_VERSION="1"
BUILT_MODULE_NAME[0]="hello"
DEST_MODULE_LOCATION[0]="/updates"
"""
HELLO = """#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

static const struct file_operations hello_fops = { .owner = THIS_MODULE };
static struct miscdevice hello = { MISC_DYNAMIC_MINOR, "hello", &hello_fops };

module_misc_device(hello);
MODULE_LICENSE("GPL");
"""


@pytest.mark.parametrize("name", PACKAGES)
def test_init_with_a_debian_dkms_package_then_kernel_test_gives_passed(
    name: str, tmp_path: Path
) -> None:
    """`init NAME` of a real DKMS package writes a project whose kernel-test passes as it is."""
    begun = call_task("init", f"--module={name}", cwd=tmp_path, deadline_s=INIT_S)
    assert begun.returncode == 0, begun.stdout
    assert "it builds with" in begun.stdout
    tested = call_task("kernel-test", cwd=tmp_path, deadline_s=TEST_S)

    assert tested.returncode == 0, tested.stdout
    assert "verdict: passed" in tested.stdout


def test_a_makefile_and_a_source_are_enough_for_a_run(tmp_path: Path) -> None:
    """kernel-test in a folder with hello.c and a Makefile, without configuration, passes."""
    (tmp_path / "Makefile").write_text("obj-m := hello.o\n")
    (tmp_path / "hello.c").write_text(HELLO)

    tested = call_task("kernel-test", cwd=tmp_path, deadline_s=TEST_S)

    assert tested.returncode == 0, tested.stdout
    assert "verdict: passed" in tested.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"Makefile", "hello.c", "build"}


@pytest.mark.parametrize("words", [("--module", "."), ("--module", "./dkms.conf")])
def test_init_in_a_folder_whose_module_compiles_exits_with_0_and_writes_a_configuration(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """`init` builds the module of a folder, and writes its configuration and a first test."""
    (tmp_path / "Makefile").write_text("obj-m := hello.o\n")
    (tmp_path / "hello.c").write_text(HELLO)
    (tmp_path / "dkms.conf").write_text(DKMS)

    begun = call_task("init", *words, cwd=tmp_path, deadline_s=INIT_S)

    assert begun.returncode == 0, begun.stdout
    assert "it builds with" in begun.stdout
    table = tomllib.loads((tmp_path / "pyproject.toml").read_text())["tool"]["harness"]
    assert table["module"]["name"] == "hello"
    assert (tmp_path / "tests" / "test_hello.py").is_file()


@pytest.mark.parametrize("words", [(), ("--module", "."), ("--module", "./dkms.conf")])
def test_init_for_a_module_that_does_not_compile_exits_with_1_and_writes_a_configuration(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """`init` of a module that does not compile exits with 1 and shows the error's line.

    It writes the configuration and a test, and a second `init` exits with 2.
    """
    (tmp_path / "Makefile").write_text("obj-m := hello.o\n")
    (tmp_path / "hello.c").write_text(HELLO + "this is not C;\n")
    if "./dkms.conf" in words:
        (tmp_path / "dkms.conf").write_text(DKMS)

    begun = call_task("init", *words, cwd=tmp_path, deadline_s=INIT_S)

    assert begun.returncode == 1, begun.stdout
    line = HELLO.count("\n") + 1
    assert f"| hello.c:{line}:" in begun.stdout
    table = tomllib.loads((tmp_path / "pyproject.toml").read_text())["tool"]["harness"]
    assert table["module"] == {"name": "hello"}
    assert (tmp_path / "tests" / "test_hello.py").is_file()
    assert call_task("init", cwd=tmp_path, deadline_s=INIT_S).returncode == 2
