# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of systems.macos.system and rules: a Mac's settings are parsed, requirements concluded."""

import pytest

from harness.errors import UsageError
from harness.model.requirement import State, lines, met
from harness.systems.macos import rules, system
from harness.systems.macos.system import MacSystem

CUSTOM = """System Integrity Protection status: unknown (Custom Configuration).

Configuration:
	Apple Internal: disabled
	Kext Signing: disabled
	Filesystem Protections: enabled
	Debugging Restrictions: enabled
	DTrace Restrictions: enabled
	NVRAM Protections: disabled
	BaseSystem Verification: enabled

This is an unsupported configuration, likely to break in the future.
"""


def mac(**values: object) -> MacSystem:
    """Return an Intel Mac with macOS 15, with the given values changed."""
    plain: dict[str, object] = {
        "version": (15, 4),
        "build": "24E248",
        "arch": "x86_64",
        "virtual": False,
        "csr": 0,
        "boot_args": "",
    }
    return MacSystem(**{**plain, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "version"),
    [("10.15.7\n", (10, 15)), ("15.4", (15, 4)), ("26\n", (26, 0)), ("10.10", (10, 10))],
)
def test_a_macos_version_is_parsed_into_two_numbers(text: str, version: tuple[int, int]) -> None:
    """A macOS version is read as two numbers, and a single number gets a zero."""
    assert system.parse_version(text) == version


@pytest.mark.parametrize("text", ["", "sh: sw_vers: command not found", "x.y", "15.4 beta"])
def test_a_text_without_a_macos_version_is_refused(text: str) -> None:
    """The output of another system is not accepted as a macOS version."""
    with pytest.raises(UsageError, match="which macOS"):
        system.parse_version(text)


@pytest.mark.parametrize(
    ("status", "variable", "flags"),
    [
        ("System Integrity Protection status: enabled.", "", 0),
        ("System Integrity Protection status: disabled.", "", 0x77),
        (
            "System Integrity Protection status: disabled.",
            "csr-active-config\t%7f%00%00%00",
            0x7F,
        ),
        (CUSTOM, "", 0x41),
        (CUSTOM, "csr-active-config\t%69%02%00%00", 0x249),
        ("System Integrity Protection status: enabled.", "csr-active-config\t%00%02%00%00", 0x200),
        ("System Integrity Protection status: enabled.", "csr-active-config\t%7f%00%00%00", 0),
        ("sh: csrutil: command not found", "nvram: Error getting variable", 0),
    ],
)
def test_sip_flags_come_from_csrutil_and_the_nvram_variable_adds_only_those_it_does_not_show(
    status: str, variable: str, flags: int
) -> None:
    """Where csrutil's text and NVRAM's csr-active-config differ, csrutil counts."""
    assert system.parse_csr(status, variable) == flags


def test_an_nvram_value_of_plain_characters_and_percent_escapes_becomes_a_number() -> None:
    """The NVRAM value 'w%08' is read as two bytes, little endian."""
    assert system.parse_csr_variable("csr-active-config\tw%08%00%00") == 0x877
    assert system.parse_csr_variable("nothing") == 0


def test_kext_consent_and_boot_policy_are_parsed_and_none_for_output_without_them() -> None:
    """Of macOS's tools, the output about both is read as yes, no or, if it says neither, None."""
    assert system.parse_consent("Kernel Extension User Consent: DISABLED\n") is False
    assert system.parse_consent("spctl: unknown command") is None
    assert system.parse_boot_policy("        Allow All Kernel Extensions: Yes\n") is True
    assert system.parse_boot_policy("Controller:\n") is None


@pytest.mark.parametrize(
    ("csr", "able"), [(0, False), (0x1, True), (0x8, True), (0x10, True), (0x76 & ~0x10, False)]
)
def test_kernel_debugging_is_allowed_only_if_bit_0_3_or_4_of_the_sip_flags_is_set(
    csr: int,
    able: bool,  # noqa: FBT001
) -> None:
    """On macOS 15, SIP must allow unsigned kexts (0), debugging (3) or Apple's systems (4)."""
    assert mac(csr=csr).may_debug_kernel is able


def test_a_macos_version_older_than_the_kext_supports_is_an_unmet_requirement() -> None:
    """A macOS older than the kext supports leads to a requirement that says so."""
    requirements = rules.requirements(mac(version=(10, 9)), signed=True)

    assert requirements[0].state is State.UNMET
    assert "10.10" in requirements[0].cure


def test_macos_26_on_intel_gets_a_note_that_it_is_the_last_release_for_intel() -> None:
    """A Mac's requirements for the kext include this note, which is no obstacle."""
    requirements = rules.requirements(mac(version=(26, 0), csr=1), signed=True)

    assert any("last release for Intel" in one.what for one in requirements)
    assert met(requirements)


def test_for_an_unsigned_kext_a_macos_remedy_names_recovery_and_says_that_it_lowers_security() -> (
    None
):
    """The Mac's unmet requirement says to allow unsigned kexts in Recovery."""
    requirements = rules.requirements(mac(), signed=False)
    text = [line for one in requirements for line in lines(one)]

    assert not met(requirements)
    assert any("MISSING" in line and "without kext signing" in line for line in text)
    assert any("lowers the target's security" in line and "Recovery" in line for line in text)
    assert any("kext-dev-mode=1 has no effect since 10.11" in line for line in text)


def test_a_signed_kext_needs_only_approval() -> None:
    """Of a signed kext's requirements, only the user's approval on the Mac stays unknown."""
    requirements = rules.requirements(mac(), signed=True)

    assert [one.state for one in requirements] == [State.MET, State.UNKNOWN]
