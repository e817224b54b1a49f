# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of wrong values in a configuration: each is refused in one error, with file and key."""

import os
from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.host import config


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("root = 3", "root", "no such key"),
        ('file = "x"', "file", "no such key"),
        ('kext = { project = "x" }', "kext.project", "no such key"),
        ("timeouts = { boot_s = 0 }", "timeouts.boot_s", "0 is no positive number"),
        ("timeouts = { boot_s = nan }", "timeouts.boot_s", "nan is no positive number"),
        ("timeouts = { tcg_factor = inf }", "timeouts.tcg_factor", "inf is no positive number"),
        ("timeouts = { ssh_s = true }", "timeouts.ssh_s", "input should be a valid number"),
        ("vmcores = { keep = -1 }", "vmcores.keep", "-1 is not from 0"),
        ('vmcores = { keep = "3" }', "vmcores.keep", "input should be a valid integer"),
        ("images = 1979-05-27", "images", "input should be a valid string"),
        ('allow_kernel_lines = ["("]', "allow_kernel_lines", "is no regular expression"),
        ('shared_cache = "shared"', "shared_cache", "shared is no absolute path of a folder"),
        ('shared_cache = ""', "shared_cache", "is no absolute path of a folder"),
        ('shared_cache = "https://host/x"', "shared_cache", "is no absolute path of a folder"),
        ('module = { source = "~nobody-here/x" }', "module.source", "no such folder"),
        (f'module = {{ source = "{"x" * 5000}" }}', "module.source", "no such folder"),
        ("module = { source = 3 }", "module.source", "input should be a valid string"),
        ('module = { name = "../x" }', "module.name", "'../x' is no name"),
        ('module = { make = "a\\u0000b" }', "module.make", "has a NUL character"),
        ("module = { companions = [[]] }", "module.companions", "a command has no words"),
        ("module = { build_deadline_s = -1 }", "module.build_deadline_s", "no positive number"),
        ('module = { build_needs = ["-o"] }', "module.build_needs", "'-o' is no name"),
        ('module = { dkms = "gone" }', "module.dkms", "no such file"),
        (
            'module = { push = [{ source = "x", target = "x" }] }',
            "module.push (x).target",
            "absolute path",
        ),
        (
            'module = { push = [{ source = "x", target = "/x", mode = 0o17777 }] }',
            "module.push (/x).mode",
            "8191 is not from 0 to 4095",
        ),
        ('kernels = { k = { tree = "~nobody-here" } }', "kernels.k.tree", "no such folder"),
        ('kernels = { k = { image = "gone" } }', "kernels.k.image", "no such file"),
        ('kernels = { k = { package = "-o x" } }', "kernels.k.package", "is no name"),
        ('kernels = { k = { source = "--x" } }', "kernels.k.source", "is no name"),
        ('kernels = { "../k" = { package = "x" } }', "kernels", "'../k' is no name"),
        ('builds = { b = { headers = "" } }', "builds.b.headers", "'' is no name"),
        ('targets = { t = { arch = "arm64" } }', "targets.t.arch", "'arm64' is not x86_64"),
        (
            'targets = { t = { image = { extends = "x", packages = 1 } } }',
            "targets.t.image.packages",
            "input should be a valid array",
        ),
        ("targets = { t = { image = 1 } }", "targets.t.image", "input should be a valid string"),
        (
            'targets = { t = { image = { extends = "x", size_mib = 0 } } }',
            "targets.t.image.size_mib",
            "0 is not from 64",
        ),
        ('tests = [{ name = "a/b", command = "x" }]', "tests (name)", "'a/b' is no name"),
        (
            'tests = [{ name = "a", command = "x" }, { name = "a", command = "y" }]',
            "tests (name)",
            "2 suites are called 'a'",
        ),
        ('tests = [{ name = "a", command = "x", deadline_s = 0 }]', "tests (a).deadline_s", "0"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_its_key(
    tmp_path: Path, text: str, key: str, says: str
) -> None:
    """The ConfigError names file and key of a wrong type, a value out of range or unknown key."""
    (tmp_path / "Kbuild").write_text("obj-m := thing.o\n")
    (tmp_path / "thing.c").write_text("")
    file = tmp_path / "modlab.toml"
    file.write_text(f"{text}\n")

    with pytest.raises(ConfigError) as caught:
        config.load(file)

    assert caught.value.message.startswith(f"{file}: {key}: ")
    assert says in caught.value.expected


@pytest.mark.parametrize("text", ["tool = 3\n", "[tool]\nharness = []\n"])
def test_a_tool_harness_that_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    """The number or list `tool.harness` in a pyproject.toml is a ConfigError that says so."""
    file = tmp_path / "pyproject.toml"
    file.write_text(text)

    with pytest.raises(ConfigError, match="a table is expected"):
        config.load(file)


def test_a_project_whose_folder_has_a_name_that_is_not_utf_8_is_read(tmp_path: Path) -> None:
    """The configuration is loaded, with the path of the dkms.conf below such a folder."""
    folder = tmp_path / os.fsdecode(b"\xe9")
    folder.mkdir()
    (folder / "Makefile").write_text("obj-m := thing.o\n")
    (folder / "dkms.conf").write_text(
        "PACKAGE_NAME=thing\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME[0]=thing\n"
        "DEST_MODULE_LOCATION[0]=/updates\n"
    )

    settings = config.load(folder)

    assert (settings.root, settings.module.dkms) == (folder, folder / "dkms.conf")
