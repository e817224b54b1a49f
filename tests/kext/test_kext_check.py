# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of kext-check: the kext passes, and each bundle with one fault is refused for it."""

from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.kext import build, check, macho
from harness.kext.build import KextBuild
from tests.command_line import ended
from tests.kext.broken import BROKEN, write_broken


def test_kext_check_finds_no_broken_rule_in_the_built_kext(built: KextBuild) -> None:
    """The kext breaks no loader's rule that kext-check knows, for macOS 10.10 to 15."""
    checked = check.check(built.bundle)

    assert checked.findings == ()
    assert checked.releases == ("10.10", "15")
    assert set(checked.symbols_by_library or {}) == {
        f"com.apple.kpi.{name}" for name in ("bsd", "iokit", "libkern", "mach")
    }
    assert any("not verified on hardware" in line for line in check.lines(checked))


def test_the_command_kext_check_exits_with_0_for_the_kext_and_with_1_for_an_empty_folder(
    built: KextBuild, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For the built kext, `kext-check BUNDLE` also prints that no hardware has confirmed this."""
    assert ended("kext-check", str(built.bundle)) == 0
    assert "not verified on hardware" in capsys.readouterr().out
    assert ended("kext-check", str(tmp_path)) == 1


def test_kext_check_finds_no_broken_rule_in_an_unchanged_copy_of_the_kext(
    built: KextBuild, tmp_path: Path
) -> None:
    """A copy that is made as for the broken bundles below, but without a fault, passes."""
    assert check.check(write_broken(built.bundle, tmp_path, lambda _draft: None)).passed


@pytest.mark.parametrize("name", BROKEN)
def test_check_names_the_broken_rule_for_each_kext_bundle_with_one_defect(
    built: KextBuild, tmp_path: Path, name: str
) -> None:
    """For a copy of the kext with one defect, kext-check reports the rule that it breaks."""
    edit, rule, words = BROKEN[name]

    checked = check.check(write_broken(built.bundle, tmp_path, edit))

    reasons = [one.reason for one in checked.findings if one.rule == rule]
    assert any(words in reason for reason in reasons), checked.findings
    assert check.lines(checked)[-1].endswith("objections")


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    """For an empty folder or a file kext-check reports that there is no Contents/Info.plist."""
    (finding,) = check.check(tmp_path).findings
    (tmp_path / "osq.kext").write_text("")
    (other,) = check.check(tmp_path / "osq.kext").findings

    assert finding.reason == other.reason == "there is no Contents/Info.plist"


def test_an_info_plist_that_is_no_well_formed_xml_is_refused(tmp_path: Path) -> None:
    """For a cut Info.plist kext-check has a finding, and kernel-build an error with the file."""
    file = tmp_path / "Contents" / "Info.plist"
    file.parent.mkdir()
    file.write_text("<?xml version='1.0'?><plist version='1.0'><dict><key>CFBundle")

    (finding,) = check.check(tmp_path).findings

    assert finding.rule == "plist"
    assert "cannot be read" in finding.reason
    with pytest.raises(ConfigError, match="is not a property list"):
        build.read_information(file)


def test_kext_check_raises_no_exception_for_a_load_command_of_8_bytes(
    built: KextBuild, tmp_path: Path
) -> None:
    """Each load command of the kext in turn is cut to its head, and no copy makes it raise."""
    bundle = write_broken(built.bundle, tmp_path, lambda _draft: None)
    binary = bundle / "Contents" / "MacOS" / "osq"
    good = binary.read_bytes()
    commands = macho.parse(good).commands
    needed = {macho.LC_UUID, macho.LC_VERSION_MIN_MACOSX}

    for command in commands:
        binary.write_bytes(
            good[: command.offset + 4] + (8).to_bytes(4, "little") + good[command.offset + 8 :]
        )
        findings = check.check(bundle).findings
        assert findings or command.number not in needed, hex(command.number)
    assert needed <= {one.number for one in commands}


def test_kext_check_raises_no_exception_for_a_changed_byte_at_any_sampled_place_of_the_binary(
    built: KextBuild, tmp_path: Path
) -> None:
    """None of some 560 copies of the kext with one changed byte makes kext-check raise.

    Their places lie in its headers, symbols and relocations.
    """
    bundle = write_broken(built.bundle, tmp_path, lambda _draft: None)
    binary = bundle / "Contents" / "MacOS" / "osq"
    good = binary.read_bytes()
    places = [*range(0, 1200, 3), *range(len(good) - 6000, len(good), 37)]

    for place in places:
        data = bytearray(good)
        data[place] ^= 0xFF
        binary.write_bytes(bytes(data))
        check.check(bundle)
