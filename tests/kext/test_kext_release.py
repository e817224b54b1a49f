# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of `packages --target macos`: an archive of the kext with its installer, reproducible."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import BuildError, UsageError
from harness.host import config
from harness.kext import build, check
from harness.model.settings import Settings
from harness.release import kext_release
from harness.release.folders import SUMS
from harness.release.kext_release import KextRelease, KextReleaseRequest
from harness.release.versions import ReleaseVersion
from harness.tasks import packaging
from tests.command_line import code_of
from tests.kext.conftest import ROOT

VERSION = ReleaseVersion(text="0.1.0", commit="0" * 12, epoch_s=1_700_000_000)
ARCHIVE = "osq-0.1.0-macos.tar.gz"


@pytest.fixture(scope="module")
def settings() -> Settings:
    """Return this project's settings."""
    return config.load(ROOT / "pyproject.toml")


def make_release(settings: Settings, out: Path, *, given: Path | None = None) -> KextRelease:
    """Make the release of a tree, or of a given kext."""
    request = KextReleaseRequest(settings=settings, given=given, out=out, version=VERSION)
    return kext_release.make(request, lambda _: None)


def copy_sources(settings: Settings, folder: Path) -> Settings:
    """Return settings whose kext has a copy of the sources."""
    assert settings.kext is not None
    root = folder / "kernel"
    shutil.copytree(settings.kext.root, root)
    plist = root / "os" / "macos" / "Info.plist"
    return replace(settings, kext=replace(settings.kext, root=root, plist=plist))


def unpacked(archive: Path, folder: Path) -> Path:
    """Unpack an archive and return its only folder."""
    folder.mkdir()
    subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
    (found,) = folder.iterdir()
    return found


def test_release_is_reproducible(settings: Settings, tmp_path: Path) -> None:
    """A second release of the kext, from another folder with another umask, has the same bytes."""
    first = make_release(settings, tmp_path / "one")
    before = os.umask(0o077)
    try:
        second = make_release(copy_sources(settings, tmp_path / "elsewhere"), tmp_path / "two")
    finally:
        os.umask(before)

    names = [file.name for file in first.files]
    assert names == [SUMS, "osq-0.1.0-macos-symbols.tar.gz", ARCHIVE]
    assert [file.read_bytes() for file in first.files] == [
        file.read_bytes() for file in second.files
    ]
    done = subprocess.run(["sha256sum", "-c", "--quiet", SUMS], cwd=first.folder, check=False)
    assert done.returncode == 0


def test_kext_that_the_installer_copies_passes_kext_check_and_has_the_uuid_of_its_symbols(
    settings: Settings, tmp_path: Path
) -> None:
    """install.sh of the released archive copies a kext that fits the released dSYM."""
    release = make_release(settings, tmp_path / "out")
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
        (
            "#define OSQ_TEST_BUILD\n",
            "osq: was built for ABI 0x80000002, which only a test build has",
        ),
        ('__attribute__((used)) static const char x[] = "osq_test";\n', "holds 'osq_test'"),
    ],
)
def test_releasing_a_kext_test_build_is_a_usage_error_and_keeps_the_old_files(
    settings: Settings, tmp_path: Path, line: str, words: str
) -> None:
    """A test build's ABI number or forbidden word raises UsageError; no file is replaced."""
    copy = copy_sources(settings, tmp_path / "elsewhere")
    assert copy.kext is not None
    source = copy.kext.root / "os" / "macos" / "main.c"
    source.write_text(line + source.read_text())
    out = tmp_path / "out"
    out.mkdir()
    (out / SUMS).write_text("of before\n")

    with pytest.raises(UsageError, match=words):
        make_release(copy, out)

    assert [(file.name, file.read_text()) for file in out.iterdir()] == [(SUMS, "of before\n")]


def test_release_of_a_kext_that_names_an_unknown_library_fails_writing_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    """kext-check refuses com.apple.kpi.dsb, so the release is a BuildError and makes no folder."""
    copy = copy_sources(settings, tmp_path / "elsewhere")
    assert copy.kext is not None
    text = copy.kext.plist.read_text()
    assert "com.apple.kpi.bsd" in text
    copy.kext.plist.write_text(text.replace("com.apple.kpi.bsd", "com.apple.kpi.dsb"))

    with pytest.raises(BuildError, match=r"would refuse osq\.kext") as refused:
        make_release(copy, tmp_path / "out")

    assert any("com.apple.kpi.dsb" in line for line in refused.value.evidence)
    assert not (tmp_path / "out").exists()


def test_release_of_a_kext_given_by_the_user_contains_that_kext_unchanged(
    settings: Settings, built: build.KextBuild, tmp_path: Path
) -> None:
    """A kext that a Mac has signed and stapled is packed as it is; without a dSYM, none is."""
    kext = tmp_path / "given" / "osq.kext"
    shutil.copytree(built.bundle, kext)
    (kext / "Contents" / "CodeResources").write_text("ticket")

    release = make_release(settings, tmp_path / "out", given=kext)

    inner = unpacked(release.folder / ARCHIVE, tmp_path / "archive") / "osq.kext"
    assert (inner / "Contents" / "CodeResources").read_text() == "ticket"
    assert (inner / "Contents" / "MacOS" / "osq").read_bytes() == built.binary.read_bytes()
    assert [file.name for file in release.files] == [SUMS, ARCHIVE]


def test_release_into_a_folder_with_other_files_is_refused_and_the_files_stay(
    settings: Settings, tmp_path: Path
) -> None:
    """A kext's release into a folder with a foreign file raises UsageError and deletes nothing."""
    (tmp_path / "thesis.txt").write_text("three years")

    with pytest.raises(UsageError, match="not overwritten"):
        make_release(settings, tmp_path)

    assert (tmp_path / "thesis.txt").read_text() == "three years"


def test_packages_task_for_macos_prints_its_files_and_the_steps_left_for_a_mac(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`packages --target macos` prints three files and commands such as notarytool for a Mac."""
    code = code_of(packaging.packages, target="macos", out=str(tmp_path / "out"))

    output = capsys.readouterr().out
    assert code == 0
    files = [line for line in output.splitlines() if line.startswith(str(tmp_path))]
    assert sorted(map(str, (tmp_path / "out").iterdir())) == files
    assert len(files) == 3
    assert "only x86_64" in output
    assert "xcrun notarytool submit osq.kext.zip" in output


MISTAKES: dict[str, tuple[dict[str, str | bool], str]] = {
    "a Linux key": ({"target": "macos", "key": "k", "certificate": "c"}, "it is for Linux"),
    "a kernel": ({"target": "macos", "kernel": "6.1"}, "it is for Linux"),
    "no target": ({"identity": "Developer ID: X"}, "add --target macos"),
    "another target": ({"target": "debian-12"}, "those of the kext: macos"),
    "no codesign": ({"target": "macos", "identity": "ID: X"}, "codesign is not installed"),
    "no kext": ({"target": "macos", "file": "nothing.kext"}, "is no kext bundle"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_options_of_packages_exits_with_2_names_it_and_creates_no_folder(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    mistake: str,
) -> None:
    """The task packages refuses --kernel or --key for macOS, and --identity without codesign."""
    options, words = MISTAKES[mistake]
    which = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name, **how: None if name == "codesign" else which(name, **how)
    )

    code = code_of(packaging.packages, **options, out=str(tmp_path / "out"))

    assert code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
