# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.defaults: missing keys get values from the project's folder or shipped ones."""

from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.host import config, defaults
from harness.model.machines import ImageChange

DKMS = 'PACKAGE_NAME="p"\nPACKAGE_VERSION="1"\nBUILT_MODULE_NAME[0]="m"\n'


def project(folder: Path, text: str, makefile: str = "obj-m := hello.o\n") -> Path:
    """Write a project with a module at its top, and return its pyproject.toml."""
    (folder / "Makefile").write_text(makefile)
    file = folder / "pyproject.toml"
    file.write_text(text)
    return file


def test_a_folder_with_a_makefile_needs_no_configuration(tmp_path: Path) -> None:
    """A module's Makefile alone gives a whole configuration, with shipped kernels and targets."""
    (tmp_path / "Makefile").write_text("obj-m := hello.o\n")

    settings = config.load_nearest(tmp_path)

    assert (settings.file, settings.root) == (tmp_path, tmp_path)
    assert (settings.module.name, settings.module.source) == ("hello", tmp_path)
    assert settings.default_target == "debian-12"
    assert settings.targets["debian-12"].kernel == "6.1"
    assert settings.tests[0].pytest == defaults.FIRST_TEST
    assert (defaults.FIRST_TEST / "test_module.py").is_file()


def test_a_folder_without_module_and_configuration_is_an_error_that_hints_at_docs_modules_md(
    tmp_path: Path,
) -> None:
    """The hint of the ConfigError for a folder without a Makefile and pyproject.toml names it."""
    with pytest.raises(ConfigError) as caught:
        config.load_nearest(tmp_path)

    assert "docs/modules.md" in caught.value.hint


def test_a_configuration_with_only_a_module_name_gets_the_folders_defaults(tmp_path: Path) -> None:
    """The module's name may also come from the Makefile, if [tool.harness] is empty."""
    named = config.load(project(tmp_path, '[tool.harness.module]\nname = "hello"\n'))
    plain = config.load(project(tmp_path, "[tool.harness]\n"))

    assert named.module == plain.module


def test_with_a_configured_module_name_only_that_module_is_loaded(tmp_path: Path) -> None:
    """Without a name in the configuration, all modules that the Makefile builds are loaded."""
    text = '[tool.harness.module]\nname = "b"\n'

    assert config.load(project(tmp_path, text, "obj-m := a.o b.o\n")).module.modules == ()
    found = config.load(project(tmp_path, "[tool.harness]\n", "obj-m := a.o b.o\n")).module
    assert (found.name, found.modules) == ("a", ("*",))


def test_the_folder_of_a_configured_dkms_conf_is_the_modules_source(tmp_path: Path) -> None:
    """A configured dkms.conf gives the module's name, and its folder is the module's source."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "dkms.conf").write_text(DKMS)
    text = '[tool.harness.module]\ndkms = "deep/dkms.conf"\n'

    module = config.load(project(tmp_path, text)).module

    assert (module.name, module.source) == ("m", tmp_path / "deep")
    assert module.dkms == tmp_path / "deep" / "dkms.conf"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[tool.harness.module]\ndkms = "gone/dkms.conf"\n', "module.dkms"),
        ('[tool.harness.module]\nname = "m"\nfirmware = { a = "gone" }\n', "module.firmware.a"),
        ('[tool.harness.module]\nname = "m"\nkbuild = "gone"\n', "module.kbuild"),
        ('[tool.harness.module]\nname = "m"\nbuild_deadline_s = "long"\n', "build_deadline_s"),
        ("[tool.harness]\nimage = { extends = 5 }\n", "targets.debian-12.image"),
        ("[tool.harness]\nmodule = 5\n", "module"),
        ("[tool.harness]\nkernels = 5\n", "kernels"),
        ("[tool.harness]\ntargets = 5\n", "targets"),
        ("[tool.harness.kernels]\nk = {}\n", "kernels.k"),
        ('[tool.harness.kernels]\nk = { package = "a", image = "b" }\n', "kernels.k"),
        ('[tool.harness.kernels]\nk = { tree = "gone" }\n', "kernels.k.tree"),
        ('[tool.harness.kernels]\nk = { image = "gone" }\n', "kernels.k"),
        ('[tool.harness.kernels]\nk = { files = ["Makefile"] }\n', "kernels.k.files"),
        ('[tool.harness.kernels]\nk = { package = "a", build = true }\n', "kernels.k.build"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_the_key_although_defaults_fill_the_rest(
    tmp_path: Path, text: str, key: str
) -> None:
    """The error for a wrong value names file and key, even when defaults were added."""
    with pytest.raises(ConfigError) as caught:
        config.load(project(tmp_path, text))

    assert key in caught.value.key
    assert caught.value.file == tmp_path / "pyproject.toml"


def test_configured_kernels_are_added_to_the_shipped_ones_but_configured_targets_replace_them(
    tmp_path: Path,
) -> None:
    """A project that configures a kernel can use shipped kernels, but only its own targets."""
    text = (
        '[tool.harness.kernels]\nmine = { package = "linux-image-x" }\n'
        '[tool.harness.targets.t]\nkernel = "mine"\n'
    )
    settings = config.load(project(tmp_path, text))

    assert {"mine", "6.1", "5.10"} <= set(settings.kernels)
    assert list(settings.targets) == ["t"]
    assert (settings.default_target, settings.targets["t"].image) == ("t", "debian-12")


def test_the_default_target_uses_the_image_of_the_configurations_image_table(
    tmp_path: Path,
) -> None:
    """A configured image table, for example with more packages, changes the shipped target."""
    text = '[tool.harness]\nimage = { extends = "debian-12", packages = ["iptables"] }\n'

    target = config.load(project(tmp_path, text)).targets["debian-12"]

    assert target.image == ImageChange(extends="debian-12", packages=("iptables",))
    assert target.kernel == "6.1"
