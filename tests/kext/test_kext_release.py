# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""`packages --target macos`: the kext of the sources with its installer, the same twice."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from harness.errors import BuildError, UsageError
from harness.host import config
from harness.kext import build, check
from harness.model.settings import Settings
from harness.release import kext_release
from harness.release.folders import SUMS
from harness.release.kext_release import KextRelease, KextReleaseRequest
from harness.release.versions import ReleaseVersion
from harness.tasks import packaging
from tests.kext.conftest import ROOT

VERSION = ReleaseVersion(text="0.1.0", commit="0" * 12, epoch_s=1_700_000_000)
ARCHIVE = "osq-0.1.0-macos.tar.gz"


@pytest.fixture(scope="module")
def settings() -> Settings:
    """This project's settings."""
    return config.load(ROOT / "pyproject.toml")


def made(settings: Settings, out: Path, *, given: Path | None = None) -> KextRelease:
    """Return the release of a tree, or of a given kext."""
    asked = KextReleaseRequest(settings=settings, given=given, out=out, version=VERSION)
    return kext_release.make(asked, lambda _: None)


def moved(settings: Settings, folder: Path) -> Settings:
    """Return settings of a copy of the sources."""
    assert settings.kext is not None
    root = folder / "kernel"
    shutil.copytree(settings.kext.root, root)
    plist = root / "os" / "macos" / "Info.plist"
    return replace(settings, kext=replace(settings.kext, root=root, plist=plist))


def unpacked(archive: Path, folder: Path) -> Path:
    """Return the one folder that an archive unpacks to."""
    folder.mkdir()
    subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
    (found,) = folder.iterdir()
    return found


def test_two_releases_are_the_same(settings: Settings, tmp_path: Path) -> None:
    """From a copy of the sources elsewhere, with another umask: byte for byte."""
    first = made(settings, tmp_path / "one")
    before = os.umask(0o077)
    try:
        second = made(moved(settings, tmp_path / "elsewhere"), tmp_path / "two")
    finally:
        os.umask(before)

    names = [file.name for file in first.files]
    assert names == [SUMS, "osq-0.1.0-macos-symbols.tar.gz", ARCHIVE]
    assert [file.read_bytes() for file in first.files] == [
        file.read_bytes() for file in second.files
    ]
    done = subprocess.run(["sha256sum", "-c", "--quiet", SUMS], cwd=first.folder, check=False)
    assert done.returncode == 0


def test_what_is_installed_is_what_was_built(settings: Settings, tmp_path: Path) -> None:
    """The installer puts a kext there that the check passes, and whose UUID the symbols have."""
    release = made(settings, tmp_path / "out")
    inner = unpacked(release.folder / ARCHIVE, tmp_path / "archive")
    symbols = unpacked(release.files[1], tmp_path / "symbols")
    root = tmp_path / "root"

    subprocess.run([inner / "install.sh"], check=True, env={**os.environ, "DESTDIR": str(root)})

    kext = root / "Library" / "Extensions" / "osq.kext"
    assert check.check(kext).findings == ()
    binary = (kext / "Contents" / "MacOS" / "osq").read_bytes()
    dwarf = symbols / "osq.kext.dSYM" / "Contents" / "Resources" / "DWARF" / "osq"
    assert build.uuid_of(dwarf.read_bytes()) == build.uuid_of(binary) != ""
    assert f"{ARCHIVE}: not signed" in release.left
    assert "none of this has been verified on hardware" in release.left


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("#define OSQ_TEST_BUILD\n", "osq: was built for ABI 0x80000002, a test build's"),
        ('__attribute__((used)) static const char x[] = "osq_test";\n', "holds 'osq_test'"),
    ],
)
def test_a_test_build_is_not_released(
    settings: Settings, tmp_path: Path, line: str, words: str
) -> None:
    """By the ABI, or by a word of its sources: nothing is made, what was there stays."""
    bent = moved(settings, tmp_path / "elsewhere")
    assert bent.kext is not None
    source = bent.kext.root / "os" / "macos" / "main.c"
    source.write_text(line + source.read_text())
    out = tmp_path / "out"
    out.mkdir()
    (out / SUMS).write_text("of before\n")

    with pytest.raises(UsageError, match=words):
        made(bent, out)

    assert [(file.name, file.read_text()) for file in out.iterdir()] == [(SUMS, "of before\n")]


def test_what_macos_would_refuse_is_not_released(settings: Settings, tmp_path: Path) -> None:
    """A library that Info.plist does not name: the check's own words, and no archive."""
    bent = moved(settings, tmp_path / "elsewhere")
    assert bent.kext is not None
    text = bent.kext.plist.read_text()
    assert "com.apple.kpi.bsd" in text
    bent.kext.plist.write_text(text.replace("com.apple.kpi.bsd", "com.apple.kpi.dsb"))

    with pytest.raises(BuildError, match=r"would refuse osq\.kext") as refused:
        made(bent, tmp_path / "out")

    assert any("com.apple.kpi.dsb" in line for line in refused.value.evidence)
    assert not (tmp_path / "out").exists()


def test_a_given_kext_is_packed_as_it_is(
    settings: Settings, built: build.KextBuild, tmp_path: Path
) -> None:
    """As one that a Mac has linked and Apple has stapled; without symbols there are none."""
    kext = tmp_path / "given" / "osq.kext"
    shutil.copytree(built.bundle, kext)
    (kext / "Contents" / "CodeResources").write_text("ticket")

    release = made(settings, tmp_path / "out", given=kext)

    inner = unpacked(release.folder / ARCHIVE, tmp_path / "archive") / "osq.kext"
    assert (inner / "Contents" / "CodeResources").read_text() == "ticket"
    assert (inner / "Contents" / "MacOS" / "osq").read_bytes() == built.binary.read_bytes()
    assert [file.name for file in release.files] == [SUMS, ARCHIVE]


def test_a_folder_of_other_files_is_not_emptied(settings: Settings, tmp_path: Path) -> None:
    """--out of a wrong folder costs nothing."""
    (tmp_path / "thesis.txt").write_text("three years")

    with pytest.raises(UsageError, match="not overwritten"):
        made(settings, tmp_path)

    assert (tmp_path / "thesis.txt").read_text() == "three years"


def code_of(task: Callable[..., object], **options: object) -> int:
    """Return the exit code that a command ends with."""
    with pytest.raises(Exit) as ended:
        task(Context(), **options)
    code: int = ended.value.code
    return code


def test_the_command_makes_it_and_says_what_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files, then the steps that are a Mac's."""
    code = code_of(packaging.packages, target="macos", out=str(tmp_path / "out"))

    said = capsys.readouterr().out
    assert code == 0
    files = [line for line in said.splitlines() if line.startswith(str(tmp_path))]
    assert sorted(map(str, (tmp_path / "out").iterdir())) == files
    assert len(files) == 3
    assert "x86_64 alone" in said
    assert "xcrun notarytool submit osq.kext.zip" in said


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "a Linux key": ({"target": "macos", "key": "k", "certificate": "c"}, "it is for Linux"),
    "a kernel": ({"target": "macos", "kernel": ["6.1"]}, "it is for Linux"),
    "no target": ({"identity": "Developer ID: X"}, "add --target macos"),
    "another target": ({"target": "debian-12"}, "those of the kext: macos"),
    "no codesign": ({"target": "macos", "identity": "ID: X"}, "codesign is not here"),
    "no kext": ({"target": "macos", "file": "nothing.kext"}, "is no kext bundle"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_and_makes_nothing(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    mistake: str,
) -> None:
    """Exit code 2, and no folder."""
    options, words = MISTAKES[mistake]
    which = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name, **how: None if name == "codesign" else which(name, **how)
    )

    code = code_of(packaging.packages, **options, out=str(tmp_path / "out"))

    assert code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
