# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of systems.linux.rules: each setting that keeps a module from loading is named."""

import pytest

from harness.model.requirement import State
from harness.systems.linux import rules
from harness.systems.linux.rules import LinuxSystem


def linux(**values: object) -> LinuxSystem:
    """Return a Linux system without obstacles, with the given values changed."""
    free: dict[str, object] = {
        "release": "6.1.0",
        "lockdown": "none",
        "secure_boot": None,
        "enforces_signatures": False,
        "modules_disabled": False,
        "headers": True,
        "compiler": True,
    }
    return LinuxSystem(**{**free, **values})  # type: ignore[arg-type]


def unmet(system: LinuxSystem, *, signed: bool = False) -> list[str]:
    """Return the unmet requirements of a system."""
    requirements = rules.requirements(system, signed=signed)
    return [one.what for one in requirements if one.state is State.UNMET]


def test_a_system_without_obstacles_meets_every_requirement() -> None:
    """A Linux target without lockdown and the like can load the unsigned module."""
    assert unmet(linux()) == []


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"lockdown": "integrity"}, "lockdown"),
        ({"lockdown": "confidentiality"}, "lockdown"),
        ({"enforces_signatures": True}, "sig_enforce"),
        ({"modules_disabled": True}, "modules_disabled"),
        ({"headers": False}, "headers of 6.1.0"),
        ({"compiler": False}, "make and gcc"),
    ],
)
def test_each_obstacle_to_loading_a_module_is_named(values: dict[str, object], word: str) -> None:
    """A target's lockdown, sig_enforce and so on each give one unmet requirement."""
    (found,) = unmet(linux(**values))

    assert word in found


def test_a_signed_module_passes_lockdown_and_sig_enforce_but_not_modules_disabled() -> None:
    """A signed module passes lockdown and enforcement, but not a ban on loading any module."""
    assert unmet(linux(lockdown="integrity", enforces_signatures=True), signed=True) == []
    assert len(unmet(linux(modules_disabled=True), signed=True)) == 1


def test_secure_boot_is_a_note_and_not_an_obstacle() -> None:
    """A Linux target with Secure Boot gets one requirement about it, of state UNKNOWN."""
    requirements = rules.requirements(linux(secure_boot=True), signed=False)

    assert [one.state for one in requirements if "Secure Boot" in one.what] == [State.UNKNOWN]


@pytest.mark.parametrize(
    ("text", "word"),
    [("[none] integrity confidentiality\n", "none"), ("none [integrity] c\n", "integrity")],
)
def test_the_lockdown_mode_is_the_word_in_brackets(text: str, word: str) -> None:
    """Of 'none [integrity] confidentiality' in Linux's file, the mode is integrity."""
    assert rules.parse_lockdown(text) == word
    assert rules.parse_lockdown("") == ""


@pytest.mark.parametrize(
    ("dump", "answer"),
    [
        ("   6   0   0   0   1\n", True),
        ("   6   0   0   0   0\n", False),
        ("", None),
        ("6 0", None),
    ],
)
def test_secure_boot_is_read_from_the_last_byte_of_the_efi_variable(
    dump: str,
    answer: bool | None,  # noqa: FBT001
) -> None:
    """The variable has four bytes of attributes first; without UEFI the value is None."""
    assert rules.parse_secure_boot(dump) is answer
