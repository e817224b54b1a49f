# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of kext_archive: reproducible, owned by root, no test build; its installer works."""

import os
import plistlib
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import BuildError, UsageError
from harness.release import kext_archive
from harness.release.gate import ReleaseRules
from harness.release.kext_archive import ArchiveRequest

CODESIGN = """#!/bin/sh
[ "$1" = --verify ] && exit 0
for kext; do :; done
[ "$*" = "--force --timestamp --sign Developer ID: X $kext" ] || {
	echo "X: no identity found" >&2
	exit 1
}
mkdir "$kext/Contents/_CodeSignature"
echo seal > "$kext/Contents/_CodeSignature/CodeResources"
"""


@pytest.fixture
def request_(tmp_path: Path) -> ArchiveRequest:
    """Return a request for a kext whose binary has mode 666, which macOS would refuse."""
    kext = tmp_path / "built" / "osq.kext"
    (kext / "Contents" / "MacOS").mkdir(parents=True)
    information = {
        "CFBundleIdentifier": "org.example.osq",
        "CFBundleVersion": "1.0.0",
        "CFBundleExecutable": "osq",
    }
    (kext / "Contents" / "Info.plist").write_bytes(plistlib.dumps(information))
    binary = kext / "Contents" / "MacOS" / "osq"
    binary.write_bytes(b"\xcf\xfa\xed\xfe machine code\0osq_abi=2u")
    binary.chmod(0o666)
    return ArchiveRequest(
        kext=kext,
        version="0.1.0",
        epoch_s=1_700_000_000,
        rules=ReleaseRules(forbidden=("osq_test",), stamp="osq_abi", test_bit=0x80000000),
    )


def unpacked(request: ArchiveRequest, folder: Path) -> Path:
    """Make an archive, unpack it, and return its top folder."""
    file = kext_archive.make(request, folder)
    subprocess.run(["tar", "-xzf", file, "-C", folder], check=True)
    return folder / file.name.removesuffix(".tar.gz")


def test_archive_is_reproducible(request_: ArchiveRequest, tmp_path: Path) -> None:
    """Two archives of a built kext are equal bytes, though its files' times differ."""
    first = kext_archive.make(request_, tmp_path / "one")
    for path in request_.kext.rglob("*"):
        os.utime(path, (1, 1))
    second = kext_archive.make(request_, tmp_path / "two")

    assert first.name == "osq-0.1.0-macos.tar.gz"
    assert first.read_bytes() == second.read_bytes()
    assert [path.name for path in (tmp_path / "one").iterdir()] == [first.name]


def test_archived_files_belong_to_root_with_fixed_modes(
    request_: ArchiveRequest, tmp_path: Path
) -> None:
    """In a kext's archive, folders and scripts have 755, files 644, and all one time."""
    file = kext_archive.make(request_, tmp_path)

    with tarfile.open(file) as archive:
        members = archive.getmembers()
    assert {(one.uname, one.gname, one.uid, one.gid) for one in members} == {
        ("root", "wheel", 0, 0)
    }
    assert {one.mtime for one in members} == {1_700_000_000}
    modes = {one.name.partition("/")[2]: one.mode for one in members}
    assert modes.pop("install.sh") == modes.pop("uninstall.sh") == 0o755
    assert {name: mode for name, mode in modes.items() if mode != 0o755} == {
        "osq.kext/Contents/Info.plist": 0o644,
        "osq.kext/Contents/MacOS/osq": 0o644,
    }


@pytest.mark.parametrize("file", ["Contents/MacOS/osq", "Contents/Info.plist"])
def test_kext_with_a_forbidden_word_in_any_file_is_refused(
    request_: ArchiveRequest, tmp_path: Path, file: str
) -> None:
    """A kext with a trace of the test build, such as osq_test, is not archived for release."""
    path = request_.kext / file
    path.write_bytes(
        path.read_bytes()
        .replace(b"code", b"_osq_test_ioctl")
        .replace(b"org.example.osq", b"org.example.osq_test")
    )

    with pytest.raises(UsageError, match=f"{file} holds 'osq_test'"):
        kext_archive.make(request_, tmp_path / "out")

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("stamp", "words"),
    [
        ("osq_abi=0x80000002u", "0x80000002, which only a test"),
        ("osq_bai=2u", "does not record its ABI"),
    ],
)
def test_binary_without_the_abi_number_of_a_release_is_refused(
    request_: ArchiveRequest, tmp_path: Path, stamp: str, words: str
) -> None:
    """A kext's binary with the ABI number of a test build, or with none, is not archived."""
    binary = request_.kext / "Contents/MacOS/osq"
    binary.write_bytes(binary.read_bytes().replace(b"osq_abi=2u", stamp.encode()))

    with pytest.raises(UsageError, match=words):
        kext_archive.make(request_, tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_with_destdir_the_kext_is_installed_below_it_and_uninstalled_again(
    request_: ArchiveRequest, tmp_path: Path
) -> None:
    """The archive's install script copies the kext below DESTDIR, its uninstaller removes it."""
    inner, root = unpacked(request_, tmp_path), tmp_path / "root"
    environment = {**os.environ, "DESTDIR": str(root)}

    subprocess.run([inner / "install.sh"], check=True, env=environment)
    binary = root / "Library/Extensions/osq.kext/Contents/MacOS/osq"
    installed = binary.read_bytes()
    subprocess.run([inner / "uninstall.sh"], check=True, env=environment)

    assert installed == (request_.kext / "Contents/MacOS/osq").read_bytes()
    assert list((root / "Library/Extensions").iterdir()) == []


def test_installer_refuses_a_system_that_is_no_mac(
    request_: ArchiveRequest, tmp_path: Path
) -> None:
    """The kext archive's install script, run on Linux without DESTDIR, refuses to work."""
    script = unpacked(request_, tmp_path) / "install.sh"

    done = subprocess.run([script], check=False, capture_output=True, text=True)

    assert done.returncode == 1
    assert "this is not a Mac" in done.stderr


def test_signing_with_an_identity_fails_if_codesign_is_missing_and_hints_the_command(
    request_: ArchiveRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Archiving a kext with a signature needs a Mac; the hint has the command to run there."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UsageError, match="codesign is not installed") as refused:
        kext_archive.make(replace(request_, identity="Developer ID: X"), tmp_path / "out")

    assert "codesign --force --timestamp --sign 'Developer ID: X' osq.kext" in refused.value.hint


def test_codesign_signs_the_copy_in_the_archive_and_not_the_build(
    request_: ArchiveRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a fake codesign, the archived kext is signed and the built one is not."""
    tool = tmp_path / "bin" / "codesign"
    tool.parent.mkdir()
    tool.write_text(CODESIGN)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")

    file = kext_archive.make(replace(request_, identity="Developer ID: X"), tmp_path / "out")
    with tarfile.open(file) as archive:
        names = archive.getnames()
    assert any(name.endswith("_CodeSignature/CodeResources") for name in names)
    assert not (request_.kext / "Contents" / "_CodeSignature").exists()
    with pytest.raises(BuildError, match="codesign failed") as caught:
        kext_archive.make(replace(request_, identity="nobody"), tmp_path / "out")
    assert "X: no identity found" in caught.value.evidence


def test_symbols_archive_is_reproducible_and_refuses_test_builds(
    request_: ArchiveRequest, tmp_path: Path
) -> None:
    """The archive of a kext's dSYM is the same each time; that of a test build is refused."""
    dsym = tmp_path / "osq.kext.dSYM"
    (dsym / "Contents").mkdir(parents=True)
    (dsym / "Contents" / "Info.plist").write_text("symbols")

    file = kext_archive.make_symbols(request_, dsym, tmp_path)
    before = file.read_bytes()
    os.utime(dsym / "Contents" / "Info.plist", (1, 1))

    assert kext_archive.make_symbols(request_, dsym, tmp_path).read_bytes() == before
    with tarfile.open(file) as archive:
        top = "osq-0.1.0-macos/osq.kext.dSYM"
        assert f"{top}/Contents/Info.plist" in archive.getnames()
    (dsym / "Contents" / "Info.plist").write_text("osq_test")
    with pytest.raises(UsageError, match="holds 'osq_test'"):
        kext_archive.make_symbols(request_, dsym, tmp_path)


def test_the_manual_steps_after_archiving_include_codesign_only_for_an_unsigned_kext(
    tmp_path: Path,
) -> None:
    """The printed steps: codesign if unsigned, then notarytool; none is verified on hardware."""
    archive = tmp_path / "osq-0.1.0-macos.tar.gz"

    unsigned = kext_archive.remaining_steps(archive, "", kext="osq.kext")
    signed = kext_archive.remaining_steps(archive, "Developer ID: X", kext="osq.kext")

    assert unsigned[0] == "osq-0.1.0-macos.tar.gz: not signed"
    assert signed[0] == "osq-0.1.0-macos.tar.gz: signed by Developer ID: X"
    (sign,) = set(unsigned[1:]) - set(signed)
    name = "'Developer ID Application: NAME (TEAM)'"
    assert sign == f"sign:     codesign --force --timestamp --sign {name} osq.kext"
    assert "notarytool submit osq.kext.zip" in "\n".join(signed)
    assert signed[-1] == "none of this has been verified on hardware"
