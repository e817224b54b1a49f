# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of test_kinds.fault_suites, and of the program that lets allocations fail."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.model.settings import ModuleSpec, Settings
from harness.report.ktap import Bail, Parser, Plan, Result
from harness.test_kinds import fault_suites


def settings(root: Path, **parameters: str) -> Settings:
    """Return the settings of a project whose module has one device."""
    module = ModuleSpec(name="greeter", devices=("/dev/greeter",), parameters=parameters)
    return Settings(
        root=root,
        file=root / "pyproject.toml",
        default_target="one",
        module=module,
        tests=(),
        targets={},
        kernels={},
    )


def test_the_devices_and_loading_have_a_suite_each_and_loading_comes_last(
    tmp_path: Path,
) -> None:
    """Loading unloads the module, which the other suites need; it is told the parameters."""
    found = fault_suites.with_faults(settings(tmp_path, size="3", loud="y"), "").tests

    assert [one.name for one in found] == ["open greeter", "load"]
    assert (found[1].command or "").endswith(
        "rmmod greeter\nexec /run/harness/failnth load --load /run/harness/greeter.ko greeter"
        " 'size=3 loud=y'"
    )


def test_a_command_is_the_only_suite(tmp_path: Path) -> None:
    """With a command, only its calls fail: opening and loading need not be repeated for each."""
    (found,) = fault_suites.with_faults(settings(tmp_path), "greet hello").tests

    assert found.name == "command"
    assert (found.command or "").endswith("failnth command /dev/greeter -- sh -c 'greet hello'")


def test_a_parameter_that_only_a_build_can_fill_in_is_refused(tmp_path: Path) -> None:
    """The suites are made before the module is built."""
    with pytest.raises(UsageError, match="the parameter path has a word in braces"):
        fault_suites.with_faults(settings(tmp_path, path="{build}/x"), "")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the program, built by the command of the suites."""
    root = tmp_path_factory.mktemp("failnth")
    made = fault_suites.with_faults(settings(root), "").module
    if shutil.which("gcc") is None:
        pytest.skip("no gcc here")
    subprocess.run(made.companions[-1], check=True)
    return made.push[-1].source


def events(program: Path, *words: str) -> list[object]:
    """Return what the program prints, as events."""
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    parser = Parser()
    return [event for line in done.stdout.splitlines() for event in parser.feed(line)]


def test_a_command_that_does_not_touch_the_device_is_skipped(program: Path) -> None:
    """The command runs once, and none of its calls is one of the module's."""
    found = events(program, "open", "/dev/greeter", "--", "sh", "-c", ": < /dev/null")

    (result,) = (one.result for one in found if isinstance(one, Result))
    assert (result.name, result.verdict.value) == ("open", "skipped")
    assert Plan(count=1) in found


@pytest.mark.parametrize(
    "words", [(), ("open",), ("open", "/dev/greeter"), ("open", "--"), ("load", "--load", "a.ko")]
)
def test_the_program_refuses_words_that_are_not_those_of_its_usage(
    program: Path, words: tuple[str, ...]
) -> None:
    """Without a command, or a module to load, it runs nothing and exits with 2."""
    done = subprocess.run([program, *words], capture_output=True, check=False)

    assert (done.returncode, done.stdout) == (2, b"")


def test_a_kernel_that_cannot_let_allocations_fail_ends_the_suite_with_a_reason(
    program: Path,
) -> None:
    """The call on the device is found, and this host's kernel has no fail-nth."""
    if Path("/proc/self/fail-nth").exists():
        pytest.skip("the kernel of this host can let allocations fail")

    (found,) = events(program, "open", "/dev/null", "--", "sh", "-c", ": < /dev/null")

    assert isinstance(found, Bail)
    assert "CONFIG_FAULT_INJECTION" in found.reason
