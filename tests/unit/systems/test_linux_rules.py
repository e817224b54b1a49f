# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""linux_rules: what keeps a module out of a Linux kernel is found and named."""

import pytest

from harness.model.requirement import State
from harness.systems.linux import rules
from harness.systems.linux.rules import LinuxSystem


def linux(**values: object) -> LinuxSystem:
    """Return a system that asks for nothing, changed as asked for."""
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
    """Return what is missing."""
    found = rules.requirements(system, signed=signed)
    return [one.what for one in found if one.state is State.UNMET]


def test_an_open_system_lacks_nothing() -> None:
    """None of the requirements is unmet."""
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
def test_each_obstacle_is_named(values: dict[str, object], word: str) -> None:
    """One obstacle, one line, and it says which."""
    (found,) = unmet(linux(**values))

    assert word in found


def test_a_signature_lifts_what_it_can() -> None:
    """Lockdown and enforcement let a signed module in; disabled loading lets none."""
    assert unmet(linux(lockdown="integrity", enforces_signatures=True), signed=True) == []
    assert len(unmet(linux(modules_disabled=True), signed=True)) == 1


def test_secure_boot_is_a_note_and_no_verdict() -> None:
    """It is lockdown that keeps a module out; Secure Boot mostly brings it."""
    found = rules.requirements(linux(secure_boot=True), signed=False)

    assert [one.state for one in found if "Secure Boot" in one.what] == [State.UNKNOWN]


@pytest.mark.parametrize(
    ("text", "word"),
    [("[none] integrity confidentiality\n", "none"), ("none [integrity] c\n", "integrity")],
)
def test_lockdowns_word_is_the_one_in_brackets(text: str, word: str) -> None:
    """And without the file there is no lockdown."""
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
def test_the_efi_variable_is_read(dump: str, answer: bool | None) -> None:  # noqa: FBT001
    """Four bytes of attributes, then the answer; no UEFI, no answer."""
    assert rules.parse_secure_boot(dump) is answer
