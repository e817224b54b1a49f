# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The commands on a target of the user's: found by name, their exit codes, what they print."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.tasks import targets, workflow
from tests.macos.conftest import PROFILES, Case, code_of
from tests.macos.fake_system import Profile


def test_load_and_unload_by_name(
    named: Callable[[Profile], Case], bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """kernel-load, then kernel-test-unload: code 0 both, and where it lies is said."""
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
def test_each_refusal_is_printed_with_its_code(
    named: Callable[[Profile], Case],
    bundle: Path,
    capsys: pytest.CaptureFixture[str],
    refusal: tuple[str, dict[str, bool], int, str],
) -> None:
    """The message and the hint are on stderr, the tool's own words above them."""
    release, setting, code, hint = refusal
    named(replace(PROFILES[release], **setting))  # type: ignore[arg-type]

    assert code_of(workflow.kernel_test_load, target="mine", file=str(bundle)) == code
    assert hint in capsys.readouterr().err


def test_kernel_deps_says_what_is_missing(
    named: Callable[[Profile], Case], capsys: pytest.CaptureFixture[str]
) -> None:
    """Code 2 while something is missing, 0 when nothing is."""
    case = named(replace(PROFILES["15"], signed=False))

    missing = code_of(targets.kernel_deps, target="mine")
    text = capsys.readouterr().out
    case.mac.profile.csr = 0x7F

    assert missing == 2
    assert "MISSING  unsigned kexts load" in text
    assert "kext-dev-mode=1 has no effect since 10.11" in text
    assert code_of(targets.kernel_deps, target="mine") == 0


def test_configuring_a_target_by_name(named: Callable[[Profile], Case]) -> None:
    """Code 2 while a restart is left to do, 0 with leave for it; --undo goes back."""
    case = named(replace(PROFILES["13"], csr=0x7F))

    assert code_of(targets.kernel_configure_target, target="mine") == 2
    assert code_of(targets.kernel_configure_target, target="mine", reboot=True) == 0
    assert case.mac.boot_args == "debug=0x144 keepsyms=1 -v"
    assert code_of(targets.kernel_configure_target, target="mine", undo=True, reboot=True) == 0
    assert case.mac.boot_args == ""


def test_a_guest_of_the_harness_needs_no_configuring(capsys: pytest.CaptureFixture[str]) -> None:
    """It is said why: KASLR, panics and the stub are taken care of."""
    assert code_of(targets.kernel_configure_target, target="debian-12") == 0

    said = capsys.readouterr().out
    assert "KASLR: on" in said
    assert "stub: kernel-debug opens QEMU's" in said


def test_a_name_that_nobody_has(
    named: Callable[[Profile], Case], capsys: pytest.CaptureFixture[str]
) -> None:
    """Code 2, with the names that there are and how to make one."""
    named(replace(PROFILES["15"]))

    assert code_of(targets.kernel_deps, target="nobody") == 2
    said = capsys.readouterr().err
    assert "macos, mine" in said
    assert "nobody.toml makes one" in said


def test_the_list_of_targets(
    named: Callable[[Profile], Case], capsys: pytest.CaptureFixture[str]
) -> None:
    """The project's own description and the user's; what is not said is a question mark."""
    case = named(replace(PROFILES["15"]))

    assert code_of(targets.target_list) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "?@?:22" in lines[0]
    assert f"tester@127.0.0.1:{case.target.port}" in lines[1]


def test_power_of_a_target_without_any(named: Callable[[Profile], Case]) -> None:
    """An ssh target is switched on by its user: code 2."""
    named(replace(PROFILES["15"]))

    assert code_of(targets.target_power, target="mine", on=True) == 2
