# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of gate: traces of a test build and private keys are found, in packages as well."""

import subprocess
from pathlib import Path

import pytest

from harness.errors import BuildError
from harness.release import gate
from harness.release.gate import ReleaseRules

ELF = b"\x7fELF\0\0"
RULES = ReleaseRules(forbidden=("crash_now", "i_know"), stamp="m_abi", test_bit=0x80000000)
GOOD = ELF + b"\0m_abi=1u\0start\0"
KEY = b"-----BEGIN " + b"PRIVATE KEY-----\nMIIE\n"


def objections(name: str, data: bytes, *, stamped: bool = True) -> list[str]:
    """Return the gate's objections to one file."""
    return list(gate.objections(name, data, RULES, stamped=stamped))


def test_a_release_module_and_a_text_that_names_the_test_build_may_be_released() -> None:
    """A module of a release passes, and so does a text file that names the test build."""
    assert objections("m.ko", GOOD) == []
    assert objections("README", b"the test build has crash_now") == []


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("m.ko", GOOD + b"crash_now\0crash_now\0", "holds 'crash_now' 2 times"),
        ("m.ko", GOOD + b"parm=i_know:bool\0", "holds 'i_know' 1 times"),
        ("tool", ELF + b"m_abi=1\0i_know\0", "holds 'i_know'"),
        ("lib.a", b"!<arch>\n" + b"m_abi=1\0crash_now\0", "holds 'crash_now'"),
        ("m.ko", ELF + b"\0m_abi=0x80000001u\0", "ABI 0x80000001, which only a test build has"),
        ("m.ko", ELF + b"\0m_abi=2147483650\0", "ABI 0x80000002, which only a test build has"),
        ("m.ko", GOOD + b"\0m_abi=0x80000001u\0", "ABI 0x80000001"),
        ("osq", b"\xcf\xfa\xed\xfe" + b"\0m_abi=0x80000001u\0", "ABI 0x80000001"),
        ("osq", b"\xca\xfe\xba\xbe" + b"\0m_abi=1u\0crash_now\0", "holds 'crash_now'"),
        ("m.ko", ELF + b"\0start\0", "does not record its ABI"),
        ("m.ko", ELF + b"\0other_m_abi=1u\0", "does not record its ABI"),
        ("m.ko", b"\xfd7zXZ\0", "is not a binary"),
        ("notes", b"see\n" + KEY, "contains a private key"),
        ("tool", GOOD + KEY.replace(b"PRIVATE", b"RSA PRIVATE"), "contains a private key"),
    ],
)
def test_a_file_unfit_for_release_gives_one_line_with_its_name_and_the_reason(
    name: str, data: bytes, words: str
) -> None:
    """Each trace of the driver's test build in a file, such as crash_now, is an objection."""
    (found,) = objections(name, data)

    assert found.startswith(f"{name}: ")
    assert words in found


def test_file_that_needs_no_abi_number_passes_without_one() -> None:
    """A program that does not use the driver passes the check without the release's ABI number."""
    assert objections("tool", ELF, stamped=False) == []


def package(folder: Path, files: dict[str, bytes], *, postinst: bytes = b"") -> Path:
    """Build a Debian package (.deb) of the given files."""
    root = folder / "root"
    for name, data in {"DEBIAN/control": CONTROL, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    if postinst:
        (root / "DEBIAN/postinst").write_bytes(postinst)
        (root / "DEBIAN/postinst").chmod(0o755)
    made = folder / "m.deb"
    subprocess.run(["dpkg-deb", "--build", root, made], check=True, capture_output=True)
    return made


CONTROL = (
    b"Package: m\nVersion: 1\nArchitecture: all\nMaintainer: m <m@m.invalid>\nDescription: m\n"
)


def test_package_of_a_release_passes(tmp_path: Path) -> None:
    """The check before a release accepts a .deb without a trace of the driver's test build."""
    made = package(tmp_path, {"lib/modules/6/m.ko": GOOD, "usr/sbin/tool": ELF})

    gate.check_packages((made,), RULES)


def test_the_error_for_a_refused_package_lists_each_file_with_test_build_contents(
    tmp_path: Path,
) -> None:
    """The error for a refused package has every objection, with the package and the file."""
    files = {"lib/modules/6/m.ko": GOOD + b"crash_now", "usr/sbin/tool": ELF + b"i_know"}

    with pytest.raises(BuildError, match="not released: 2 objections") as caught:
        gate.check_packages((package(tmp_path, files),), RULES)

    assert [line.split(": ")[:2] for line in sorted(caught.value.evidence)] == [
        ["m.deb", "./lib/modules/6/m.ko"],
        ["m.deb", "./usr/sbin/tool"],
    ]


def test_a_package_with_a_private_key_in_a_maintainer_script_is_refused(tmp_path: Path) -> None:
    """The check before a release also reads a .deb's postinst and finds a private key in it."""
    made = package(tmp_path, {}, postinst=b"#!/bin/sh\n# " + KEY)

    with pytest.raises(BuildError, match="postinst: contains a private key"):
        gate.check_packages((made,), RULES)


def test_unreadable_package_is_an_error(tmp_path: Path) -> None:
    """A release's .deb that dpkg-deb cannot read raises BuildError."""
    (tmp_path / "m.deb").write_bytes(b"!<arch>\nbroken")

    with pytest.raises(BuildError, match="cannot be read back"):
        gate.check_packages((tmp_path / "m.deb",), RULES)
