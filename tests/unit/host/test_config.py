# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.config: a good file becomes values, a bad one an error with file, key and hint."""

from pathlib import Path
from typing import Any

import pytest

from harness.errors import ConfigError
from harness.host import config, toml_file
from harness.model.machines import ImageChange

GOOD = """
[tool.harness]
default_target = "one"
images = "images"
nightly = ["one", "one:other"]
[tool.harness.module]
name = "example"
source = "module"
drgn = "module/state.py"
parameters = { answer = "42" }
devices = ["/dev/example"]
push = [{ source = "bin/tool", target = "/usr/local/bin/tool" }]
variables = { COMMON = "1" }
[tool.harness.module.variants.test]
name = "example_test"
variables = { TEST = "1" }
devices = ["/dev/example_test"]
[[tool.harness.tests]]
name = "guest"
pytest = "tests"
[[tool.harness.tests]]
name = "inside"
command = "run-tests"
deadline_s = 5.0
[tool.harness.kernels]
plain = { package = "linux-image-cloud-amd64" }
other = { package = "linux-image-rt-amd64" }
[tool.harness.targets.one]
image = "debian"
kernel = "plain"
[tool.harness.vmcores]
keep = 3
"""


def project(folder: Path, text: str = GOOD) -> Path:
    """Write a project whose configuration is `text`, and return its pyproject.toml."""
    (folder / "module").mkdir()
    (folder / "module" / "Kbuild").write_text("obj-m := example.o\n")
    (folder / "module" / "state.py").write_text("")
    (folder / "tests").mkdir()
    file = folder / "pyproject.toml"
    file.write_text(text)
    return file


def test_relative_paths_are_resolved_against_the_configurations_folder(tmp_path: Path) -> None:
    """The paths of source, push, drgn, images and pytest are relative to the file's folder."""
    settings = config.load(project(tmp_path))

    assert settings.module.source == tmp_path / "module"
    assert settings.module.push[0].source == tmp_path / "bin/tool"
    assert settings.module.drgn == tmp_path / "module/state.py"
    assert settings.images == tmp_path / "images"
    assert settings.tests[0].pytest == tmp_path / "tests"
    assert settings.tests[1].deadline_s == 5.0
    assert (settings.vmcores.keep, settings.vmcores.total_mib) == (3, 4096)


@pytest.mark.parametrize(
    ("good", "bad", "key", "says"),
    [
        ("devices =", "device =", "module.device", "no such key"),
        ('name = "example"', "name = 5", "module.name", "string"),
        ("deadline_s = 5.0", 'deadline_s = "soon"', "tests.1.deadline_s", "number"),
        ('source = "module"', 'source = "elsewhere"', "module.source", "no such folder"),
        ('source = "module"', 'source = "tests"', "module.kbuild", "no Kbuild"),
        ('drgn = "module/state.py"', 'drgn = "gone.py"', "module.drgn", "no such file"),
        ('pytest = "tests"', 'pytest = "missing"', "tests (guest).pytest", "no such folder"),
        ('kernel = "plain"', 'kernel = "plane"', "targets.one.kernel", "lockdep, other, plain"),
        ('default_target = "one"', 'default_target = "two"', "default_target", "one"),
        ('"one:other"', '"one:nothing"', "nightly.full.include.kernel (nothing)", "other, plain"),
        ('"one:other"', '"two"', "nightly.full.include.target (two)", "known names are: one"),
        ('"one:other"', "5", "nightly", "a list of names or a table"),
        ('command = "run-tests"', "", "tests (inside)", "exactly one"),
        (
            'command = "run-tests"',
            'kselftest = "gone"',
            "tests (inside).kselftest",
            "no such folder",
        ),
        (
            'command = "run-tests"',
            'blktests = "tests"',
            "tests (inside).blktests",
            "has no check",
        ),
        (
            'command = "run-tests"',
            'command = "x"\nonly = ["a"]',
            "tests (inside).only",
            "only kselftest and blktests",
        ),
        (
            'pytest = "tests"',
            'pytest = "tests"\njudge = "exit-code"',
            "tests (guest).judge",
            "only a command has a judge",
        ),
        ('kernel = "plain"', 'kernel = "plain"\nvcpus = 0', "targets.one.vcpus", "from 1 to 64"),
        ('kernel = "plain"', 'kernel = "plain"\nvcpus = "x"', "targets.one.vcpus", "integer"),
        ('kernel = "plain"', 'kernel = "plain"\nqemu = ["edu"]', "targets.one.qemu", "begins"),
    ],
)
def test_the_error_for_a_wrong_key_or_value_names_the_file_and_the_key_and_says_what_is_wrong(
    tmp_path: Path, good: str, bad: str, key: str, says: str
) -> None:
    """The error for a wrong key, type, name or path in a configuration says what was expected."""
    file = project(tmp_path, GOOD.replace(good, bad, 1))

    with pytest.raises(ConfigError) as caught:
        config.load(file)

    assert caught.value.key == f"tool.harness.{key}"
    assert says in str(caught.value)
    assert str(file) in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_modules_variant_has_its_own_name_and_devices_and_the_modules_source_and_kbuild(
    tmp_path: Path,
) -> None:
    """A variant is another build of the configured module's source, such as a test build."""
    module = config.load(project(tmp_path)).module
    variant = module.variant("test")

    assert (variant.name, variant.devices) == ("example_test", ("/dev/example_test",))
    assert variant.variables == {"COMMON": "1", "TEST": "1"}
    assert (variant.parameters, variant.push, variant.variants) == ({}, (), {})
    assert (variant.source, variant.kbuild) == (module.source, module.kbuild)
    with pytest.raises(KeyError):
        module.variant("other")


@pytest.mark.parametrize("text", ["[tool.harness", "[tool.other]\n", "\xff"])
def test_a_pyproject_of_broken_toml_or_without_the_table_tool_harness_is_refused(
    tmp_path: Path, text: str
) -> None:
    """Broken TOML and a pyproject.toml without [tool.harness] are configuration errors."""
    file = tmp_path / "pyproject.toml"
    file.write_bytes(text.encode("latin-1"))

    with pytest.raises(ConfigError):
        config.load(file)


def test_the_configuration_is_found_from_a_folder_below(tmp_path: Path) -> None:
    """The nearest pyproject.toml above that has [tool.harness] is used; others are skipped."""
    file = project(tmp_path)
    below = tmp_path / "module" / "deep"
    below.mkdir()
    (below / "pyproject.toml").write_text("[tool.other]\n")

    assert config.load_nearest(below).file == file


def test_finding_and_loading_the_file_reads_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search for the configuration file and its loading open it one time."""
    file = project(tmp_path)
    read: list[Path] = []
    really = toml_file.read

    def note(one: Path) -> dict[str, Any]:
        read.append(one)
        return really(one)

    monkeypatch.setattr(toml_file, "read", note)

    config.load_nearest(tmp_path / "module")

    assert read == [file]


def test_loading_the_configuration_from_an_empty_folder_is_an_error_that_names_tool_harness(
    tmp_path: Path,
) -> None:
    """Outside of any project, the ConfigError names the table [tool.harness]."""
    with pytest.raises(ConfigError, match=r"tool\.harness"):
        config.load_nearest(tmp_path)


def test_the_kernel_option_replaces_the_targets_kernel(tmp_path: Path) -> None:
    """--kernel NAME replaces the target's kernel; an unknown kernel or target is an error."""
    settings = config.load(project(tmp_path))

    assert config.choose_target(settings, None, None).kernel == "plain"
    assert config.choose_target(settings, "one", "other").kernel == "other"
    with pytest.raises(ConfigError, match="other, plain"):
        config.choose_target(settings, "one", "third")
    with pytest.raises(ConfigError, match="known names are: one"):
        config.choose_target(settings, "three", None)


def test_an_empty_cc_and_a_too_long_runtime_folder_are_ignored_but_empty_no_color_has_effect() -> (
    None
):
    """For NO_COLOR='' output has no colours; a too long XDG_RUNTIME_DIR gives a shorter folder."""
    variables = {"LLVM": "1", "CC": "", "CI": "true", "XDG_RUNTIME_DIR": "/x" * 40}

    values = config.environment({**variables, "HARNESS_CACHE": "/cache", "NO_COLOR": ""})

    assert values.kbuild == {"LLVM": "1"}
    assert values.ci
    assert not values.color
    assert values.run is None
    assert len(str(values.runtime)) < 40
    assert values.cache == Path("/cache")


PACKAGES = """
[tool.harness.packages]
name = "example"
maintainer = "nobody <nobody@example.invalid>"
debian = "packaging/debian"
rpm = "packaging/example.spec"
kernels = ["plain"]
abi_test_bit = 0x80000000
"""


def packaging(folder: Path) -> None:
    """Add a table of packages to a project."""
    (folder / "packaging/debian").mkdir(parents=True)
    (folder / "packaging/debian/control").touch()
    (folder / "packaging/example.spec").touch()


def test_the_packages_table_is_optional_and_has_absolute_paths(tmp_path: Path) -> None:
    """The table [tool.harness.packages] may be missing; its relative paths become absolute."""
    file = project(tmp_path, GOOD + PACKAGES)
    packaging(tmp_path)

    packages = config.load(file).packages

    assert packages is not None
    assert (packages.debian, packages.rpm) == (
        tmp_path / "packaging/debian",
        tmp_path / "packaging/example.spec",
    )
    assert packages.abi_test_bit == 1 << 31
    file.write_text(GOOD)
    assert config.load(file).packages is None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("packaging/debian", "debian", "packages.debian: no control file"),
        ("packaging/example.spec", "example.spec", "packages.rpm: no such file"),
        (
            '["plain"]',
            '["plain", "odd"]',
            "packages.kernels: known names are: 5.10, 6.1, 6.1-cloud, 6.1-coverage,",
        ),
        ("abi_test_bit", "abi_bit", "packages.abi_bit: no such key"),
        ('name = "example"\nmaintainer', "maintainer", "packages.name: this key is required"),
    ],
)
def test_the_error_for_a_wrong_key_or_value_in_the_packages_table_names_the_key_and_the_fault(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    """The error for a wrong key in the packages table names it and what was expected."""
    assert old in PACKAGES
    file = project(tmp_path, GOOD + PACKAGES.replace(old, new))
    packaging(tmp_path)

    with pytest.raises(ConfigError) as caught:
        config.load(file)

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "skips"), [("1", True), ("yes", True), ("0", False), ("", False)]
)
def test_environment_variable_skip_kernel_is_false_if_unset_empty_or_0_and_otherwise_true(
    text: str,
    skips: bool,  # noqa: FBT001
) -> None:
    """The value skip_kernel, for a release without kernel modules, is read from SKIP_KERNEL."""
    assert config.environment({"SKIP_KERNEL": text}).skip_kernel is skips
    assert config.environment({}).skip_kernel is False


def own_file(folder: Path) -> Path:
    """Return a modlab.toml with the settings of the good project, in a folder of its own."""
    pyproject = project(folder, GOOD)
    file = folder / "modlab.toml"
    text = pyproject.read_text().replace("[tool.harness]\n", "").replace("tool.harness.", "")
    file.write_text(text)
    pyproject.unlink()
    return file


def test_a_modlab_toml_is_found_from_a_folder_below_and_its_module_source_is_read(
    tmp_path: Path,
) -> None:
    """A modlab.toml is found like a pyproject.toml, and its keys have the same meaning."""
    file = own_file(tmp_path)

    assert config.load_nearest(tmp_path / "module").file == file
    assert config.load(file).module.source == tmp_path / "module"


def test_the_error_for_an_unknown_modlab_toml_key_names_it_without_the_prefix_tool_harness(
    tmp_path: Path,
) -> None:
    """An error in a modlab.toml names the key without the prefix tool.harness."""
    file = own_file(tmp_path)
    file.write_text(file.read_text().replace("devices =", "device ="))

    with pytest.raises(ConfigError, match=r"modlab\.toml: module\.variants\.test\.device: no"):
        config.load(file)


def test_two_configurations_in_a_folder_are_an_error(tmp_path: Path) -> None:
    """Two configurations in a folder are an error; a pyproject.toml of other tools is none."""
    file = own_file(tmp_path)
    other = tmp_path / "pyproject.toml"
    other.write_text("[tool.ruff]\n")
    assert config.load_nearest(tmp_path).file == file
    other.write_text("[tool.harness]\n")

    with pytest.raises(ConfigError, match="one is expected"):
        config.load_nearest(tmp_path)


def test_kunit_patterns_in_the_configuration_become_regular_expressions_in_a_guest_command(
    tmp_path: Path,
) -> None:
    """A configured suite of KUnit patterns gets the command that reads results in the guest."""
    file = project(tmp_path, GOOD.replace('command = "run-tests"', 'kunit = ["greeter*", "list"]'))

    _, inside = config.load(file).tests

    assert inside.kunit == ("greeter*", "list")
    assert "^greeter.*$ ^list$" in (inside.command or "")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('command = "x"\nkunit = ["a"]', "exactly one of pytest, command, kunit"),
        ("kunit = []", "exactly one of pytest, command, kunit"),
        ('kunit = ["a b"]', "no pattern of a KUnit suite's name: 'a b'"),
    ],
)
def test_a_suite_of_two_kinds_of_no_kind_or_with_an_invalid_kunit_pattern_is_an_error(
    keys: str, words: str, tmp_path: Path
) -> None:
    """A configured suite has exactly one of the keys pytest, command, kunit and two others."""
    with pytest.raises(ConfigError, match=words):
        config.load(project(tmp_path, GOOD.replace('command = "run-tests"', keys)))


_OWN_SETUP = GOOD.replace(
    'image = "debian"', 'image = { extends = "debian-12", setup = "own.setup.sh" }'
)


def test_the_setup_script_of_a_targets_image_lies_in_the_configurations_folder(
    tmp_path: Path,
) -> None:
    """The path of a set-up script that a target names is resolved as every other path."""
    (tmp_path / "own.setup.sh").write_text("true\n")

    image = config.load(project(tmp_path, _OWN_SETUP)).targets["one"].image

    assert image == ImageChange(extends="debian-12", setup=tmp_path / "own.setup.sh")


def test_the_error_for_a_missing_setup_script_names_the_target(tmp_path: Path) -> None:
    """A set-up script that does not exist is an error with the file and the key."""
    file = project(tmp_path, _OWN_SETUP)

    with pytest.raises(ConfigError, match="no such file") as caught:
        config.load(file)

    key = "tool.harness.targets.one.image.setup"
    assert (caught.value.file, caught.value.key) == (file, key)
