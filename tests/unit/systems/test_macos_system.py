# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""macos.system and macos.rules: what a Mac says, and what follows from it."""

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
    """Return a Mac with macOS 15 for Intel, changed as asked for."""
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
def test_the_release_is_read(text: str, version: tuple[int, int]) -> None:
    """Two numbers, or one and a zero."""
    assert system.parse_version(text) == version


@pytest.mark.parametrize("text", ["", "sh: sw_vers: command not found", "x.y", "15.4 beta"])
def test_what_is_no_release_is_refused(text: str) -> None:
    """Another system's words are not taken for a version."""
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
def test_csrutil_has_the_last_word(status: str, variable: str, flags: int) -> None:
    """The variable adds what csrutil has no line for, and nothing that csrutil denies."""
    assert system.parse_csr(status, variable) == flags


def test_a_variable_mixes_characters_and_escapes() -> None:
    """'w%08' is two bytes, little endian."""
    assert system.parse_csr_variable("csr-active-config\tw%08%00%00") == 0x877
    assert system.parse_csr_variable("nothing") == 0


def test_consent_and_boot_policy() -> None:
    """Yes, no, and not said are three answers."""
    assert system.parse_consent("Kernel Extension User Consent: DISABLED\n") is False
    assert system.parse_consent("spctl: unknown command") is None
    assert system.parse_boot_policy("        Allow All Kernel Extensions: Yes\n") is True
    assert system.parse_boot_policy("Controller:\n") is None


@pytest.mark.parametrize(
    ("csr", "able"), [(0, False), (0x1, True), (0x8, True), (0x10, True), (0x76 & ~0x10, False)]
)
def test_the_kernel_debugger_follows_from_unsigned_kexts(csr: int, able: bool) -> None:  # noqa: FBT001
    """Xnu honours debug arguments with bit 3, and where kexts need no signature."""
    assert mac(csr=csr).may_debug_kernel is able


def test_a_release_before_the_first_known_one() -> None:
    """It is said, and not passed over."""
    found = rules.requirements(mac(version=(10, 9)), signed=True)

    assert found[0].state is State.UNMET
    assert "10.10" in found[0].cure


def test_the_end_of_intel_is_said() -> None:
    """On macOS 26 for Intel a line says that there is no later one; it is no obstacle."""
    found = rules.requirements(mac(version=(26, 0), csr=1), signed=True)

    assert any("last release for Intel" in one.what for one in found)
    assert met(found)


def test_a_cure_names_who_and_warns() -> None:
    """What is missing is shown with its way out, and that it lowers security."""
    found = rules.requirements(mac(), signed=False)
    text = [line for one in found for line in lines(one)]

    assert not met(found)
    assert any("MISSING" in line and "without kext signing" in line for line in text)
    assert any("lowers the target's security" in line and "Recovery" in line for line in text)
    assert any("kext-dev-mode=1 has no effect since 10.11" in line for line in text)


def test_a_signed_kext_needs_no_signing_switched_off() -> None:
    """Signed, only the user's approval is left to wish for on an Intel Mac."""
    found = rules.requirements(mac(), signed=True)

    assert [one.state for one in found] == [State.MET, State.UNKNOWN]
