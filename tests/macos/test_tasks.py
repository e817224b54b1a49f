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
    """kernel-load and kernel-test-unload act on the scripted Mac of the file NAME.toml."""
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
    """A scripted Mac refuses the kext; the task prints the hint on stderr."""
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
    """kernel-test --target mine exits with 2 for an option such as --keep, and loads nothing."""
    case = named(replace(PROFILES["10.15"]))

    assert code_of(workflow.run_kernel_test, target="mine", **option) == 2
    assert "does not apply on a target that you boot" in capsys.readouterr().err
    assert case.mac.loaded == {}


def test_kernel_deps_exits_with_2_while_a_requirement_is_missing(
    named: Callable[[Profile], Case], capsys: pytest.CaptureFixture[str]
) -> None:
    """A scripted Mac takes no unsigned kext: the task prints MISSING, until csrutil is off."""
    case = named(replace(PROFILES["15"], signed=False))

    missing = code_of(targets.kernel_deps, target="mine")
    text = capsys.readouterr().out
    case.mac.profile.csr = 0x7F

    assert missing == 2
    assert "MISSING  unsigned kexts load" in text
    assert "kext-dev-mode=1 has no effect since 10.11" in text
    assert code_of(targets.kernel_deps, target="mine") == 0


def test_what_kernel_deps_applies_it_also_takes_back(named: Callable[[Profile], Case]) -> None:
    """On a scripted macOS 10.10, --apply sets kext-dev-mode=1, and --undo removes it."""
    case = named(replace(PROFILES["10.10"], signed=False))

    assert code_of(targets.kernel_deps, target="mine", apply=True) == 0
    applied = case.mac.nvram["boot-args"]
    assert code_of(targets.kernel_deps, target="mine", undo=True) == 0

    assert applied == "kext-dev-mode=1"
    assert "boot-args" not in case.mac.nvram


def test_configuring_a_target_exits_with_2_but_with_0_if_option_reboot_lets_it_restart_the_mac(
    named: Callable[[Profile], Case],
) -> None:
    """kernel-configure-target sets a scripted Mac's boot-args, which need a restart to hold."""
    case = named(replace(PROFILES["13"], csr=0x7F))

    assert code_of(targets.kernel_configure_target, target="mine") == 2
    assert code_of(targets.kernel_configure_target, target="mine", reboot=True) == 0
    assert case.mac.boot_args == "debug=0x144 keepsyms=1 -v"
    assert code_of(targets.kernel_configure_target, target="mine", undo=True, reboot=True) == 0
    assert case.mac.boot_args == ""


def test_configuring_a_harness_guest_exits_with_0_and_prints_its_settings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """For debian-12, kernel-configure-target prints that KASLR is on and what opens the stub."""
    assert code_of(targets.kernel_configure_target, target="debian-12") == 0

    output = capsys.readouterr().out
    assert "KASLR: on" in output
    assert "stub: kernel-debug opens QEMU's" in output


def test_error_for_an_unknown_target_lists_the_known_ones(
    named: Callable[[Profile], Case], capsys: pytest.CaptureFixture[str]
) -> None:
    """kernel-deps --target nobody exits with 2 and lists the targets and how to make one."""
    named(replace(PROFILES["15"]))

    assert code_of(targets.kernel_deps, target="nobody") == 2
    output = capsys.readouterr().err
    assert "macos, mine" in output
    assert "nobody.toml makes one" in output


def test_target_list_prints_every_target(
    named: Callable[[Profile], Case], capsys: pytest.CaptureFixture[str]
) -> None:
    """target-list prints user, host and port of each target file, and ? for what is missing."""
    case = named(replace(PROFILES["15"]))

    assert code_of(targets.target_list) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "?@?:22" in lines[0]
    assert f"tester@127.0.0.1:{case.target.port}" in lines[1]


def test_switching_the_power_of_an_ssh_target_is_refused(named: Callable[[Profile], Case]) -> None:
    """target-power --on exits with 2 for a machine that only its user can switch on."""
    named(replace(PROFILES["15"]))

    assert code_of(targets.target_power, target="mine", on=True) == 2
