# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""kext-check passes the kext, and refuses every bundle with one fault for that fault."""

from pathlib import Path

import pytest

from harness.kext import check
from harness.kext.build import KextBuild
from tests.kext.broken import BROKEN, made


def test_the_kext_is_accepted(built: KextBuild) -> None:
    """Nothing is objected to, and all four libraries are used."""
    found = check.check(built.bundle)

    assert found.findings == ()
    assert found.releases == ("10.10", "15")
    assert set(found.symbols_by_library or {}) == {
        f"com.apple.kpi.{name}" for name in ("bsd", "iokit", "libkern", "mach")
    }
    assert any("not verified on hardware" in line for line in check.lines(found))


def test_a_copy_without_a_fault_is_accepted(built: KextBuild, tmp_path: Path) -> None:
    """What makes the broken bundles breaks nothing by itself."""
    assert check.check(made(built.bundle, tmp_path, lambda _draft: None)).passed


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_bundle_is_refused(built: KextBuild, tmp_path: Path, name: str) -> None:
    """The rule that the fault breaks objects, and says what it is."""
    edit, rule, words = BROKEN[name]

    found = check.check(made(built.bundle, tmp_path, edit))

    reasons = [one.reason for one in found.findings if one.rule == rule]
    assert any(words in reason for reason in reasons), found.findings
    assert check.lines(found)[-1].endswith("objections")


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    """An empty folder has no Info.plist."""
    (found,) = check.check(tmp_path).findings

    assert found.reason == "there is no Contents/Info.plist"


def test_any_byte_may_be_wrong(built: KextBuild, tmp_path: Path) -> None:
    """No byte of headers, symbols or relocations, whatever it says, makes the judge stumble."""
    bundle = made(built.bundle, tmp_path, lambda _draft: None)
    binary = bundle / "Contents" / "MacOS" / "osq"
    good = binary.read_bytes()
    places = [*range(0, 1200, 3), *range(len(good) - 6000, len(good), 37)]

    for place in places:
        data = bytearray(good)
        data[place] ^= 0xFF
        binary.write_bytes(bytes(data))
        check.check(bundle)
