# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the tasks on a target of the user: names, exit codes and output."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.tasks import targets, workflow
from tests.command_line import code_of
from tests.macos.conftest import PROFILES, Case
from tests.macos.fake_system import Profile


def test_kext_is_loaded_and_unloaded_by_target_name(
    named: Callable[[Profile], Case], bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Loading and unloading a kext by the target's name exit with 0 and print its address."""
    case = named(replace(PROFILES["10.15"]))

    loaded = code_of(workflow.kernel_load, target="mine", file=str(bundle))
    unloaded = code_of(workflow.kernel_test_unload, target="mine")

    assert (loaded, unloaded) == (0, 0)
    assert (
        "loaded org.example.osq on mine (__TEXT at 0xffffff7f83a21000)" in capsys.readouterr().out
    )
    assert case.mac.loaded == {}


REFUSALS = [
    ("10.15", {"signed": False}, 1, "kernel-deps"),
    ("10.15", {"approved": False}, 2, "within 30 minutes"),
    ("15", {}, 2, "--reboot"),
]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_load_task_prints_each_refusals_hint_and_exits_with_its_code(
    named: Callable[[Profile], Case],
    bundle: Path,
    capsys: pytest.CaptureFixture[str],
    refusal: tuple[str, dict[str, bool], int, str],
) -> None:
    """A refusal's hint is printed on stderr, and the exit code is that of the error."""
    release, setting, code, hint = refusal
    named(replace(PROFILES[release], **setting))  # type: ignore[arg-type]

    assert code_of(workflow.kernel_test_load, target="mine", file=str(bundle)) == code
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize(
    "option",
    [
        {"keep": True},
        {"control": True},
        {"kernel": "6.1"},
        {"accel": "tcg"},
        {"share": "/"},
        {"no_vmcore": True},
        {"debug_on_crash": True},
    ],
)
def test_an_option_for_guests_is_refused_on_a_target(
    named: Callable[[Profile], Case],
    capsys: pytest.CaptureFixture[str],
    option: dict[str, str | bool],
) -> None:
    """An option for guests of the harness is refused for a user's target, and nothing is done."""
    case = named(replace(PROFILES["10.15"]))

    assert code_of(workflow.run_kernel_test, target="mine", **option) == 2
    assert "does not apply on a target that you boot" in capsys.readouterr().err
    assert case.mac.loaded == {}


def test_kernel_deps_exits_with_2_while_a_requirement_is_missing(
    named: Callable[[Profile], Case], capsys: pytest.CaptureFixture[str]
) -> None:
    """kernel-deps exits with 2 while a requirement is missing, and with 0 otherwise."""
    case = named(replace(PROFILES["15"], signed=False))

    missing = code_of(targets.kernel_deps, target="mine")
    text = capsys.readouterr().out
    case.mac.profile.csr = 0x7F

    assert missing == 2
    assert "MISSING  unsigned kexts load" in text
    assert "kext-dev-mode=1 has no effect since 10.11" in text
    assert code_of(targets.kernel_deps, target="mine") == 0


def test_what_kernel_deps_applies_it_also_takes_back(named: Callable[[Profile], Case]) -> None:
    """`kernel-deps --apply` sets the boot argument of 10.10, and `--undo` removes it."""
    case = named(replace(PROFILES["10.10"], signed=False))

    assert code_of(targets.kernel_deps, target="mine", apply=True) == 0
    applied = case.mac.nvram["boot-args"]
    assert code_of(targets.kernel_deps, target="mine", undo=True) == 0

    assert applied == "kext-dev-mode=1"
    assert "boot-args" not in case.mac.nvram


def test_configuring_a_target_exits_with_2_but_with_0_if_option_reboot_lets_it_restart_the_mac(
    named: Callable[[Profile], Case],
) -> None:
    """Configuring exits with 2 if a restart is pending, with 0 after one; --undo reverts."""
    case = named(replace(PROFILES["13"], csr=0x7F))

    assert code_of(targets.kernel_configure_target, target="mine") == 2
    assert code_of(targets.kernel_configure_target, target="mine", reboot=True) == 0
    assert case.mac.boot_args == "debug=0x144 keepsyms=1 -v"
    assert code_of(targets.kernel_configure_target, target="mine", undo=True, reboot=True) == 0
    assert case.mac.boot_args == ""


def test_configuring_a_harness_guest_exits_with_0_and_prints_its_settings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """For a guest of the harness, configuring prints why nothing is needed."""
    assert code_of(targets.kernel_configure_target, target="debian-12") == 0

    output = capsys.readouterr().out
    assert "KASLR: on" in output
    assert "stub: kernel-debug opens QEMU's" in output


def test_error_for_an_unknown_target_lists_the_known_ones(
    named: Callable[[Profile], Case], capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown target exits with 2, and the error lists the known ones."""
    named(replace(PROFILES["15"]))

    assert code_of(targets.kernel_deps, target="nobody") == 2
    output = capsys.readouterr().err
    assert "macos, mine" in output
    assert "nobody.toml makes one" in output


def test_target_list_prints_every_target(
    named: Callable[[Profile], Case], capsys: pytest.CaptureFixture[str]
) -> None:
    """target-list prints the project's and the user's targets, with ? for missing values."""
    case = named(replace(PROFILES["15"]))

    assert code_of(targets.target_list) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "?@?:22" in lines[0]
    assert f"tester@127.0.0.1:{case.target.port}" in lines[1]


def test_switching_the_power_of_an_ssh_target_is_refused(named: Callable[[Profile], Case]) -> None:
    """Switching the power of an ssh target exits with 2, since only its user can do that."""
    named(replace(PROFILES["15"]))

    assert code_of(targets.target_power, target="mine", on=True) == 2
