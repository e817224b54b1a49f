# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The release of a kext as an archive with its installer, the same bytes for the same kext.

A test build is refused: its names are those of the configured variants. Signing is done by
Apple's codesign where there is one; a kext needs a Developer ID with Apple's leave for kexts.
"""

import gzip
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BuildError, UsageError
from harness.macos import bundle

_SCRIPTS = Path(__file__).parent / "macos"
_SIGN_S = 300.0
_PROGRAM_MODE = 0o755


@dataclass(frozen=True, kw_only=True)
class ArchiveRequest:
    """What is packed: the kext, its release, the time of all files, and who signs it, if anybody.

    `test_names` are words that only a test build holds.
    """

    kext: Path
    version: str
    epoch_s: int
    test_names: tuple[str, ...]
    identity: str = ""


def make(request: ArchiveRequest, folder: Path) -> Path:
    """Return the archive, written into a folder whole or not at all.

    Raises: UsageError for a test build, no kext, or an identity without codesign; BuildError when
        codesign refuses.
    """
    info = bundle.info_of(request.kext)
    check_release(request.kext, request.test_names)
    name = f"{info.executable}-{request.version}-macos"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".harness-", dir=folder) as place:
        copy = Path(place) / request.kext.name
        shutil.copytree(request.kext, copy)
        if request.identity:
            _sign(copy, request.identity)
        beside = Path(place) / "archive"
        data = _tar(copy, name, request.epoch_s)
        beside.write_bytes(gzip.compress(data, mtime=request.epoch_s))
        return beside.replace(folder / f"{name}.tar.gz")


def check_release(kext: Path, test_names: Sequence[str]) -> None:
    """Return when no file of a kext holds a word that only a test build holds.

    Raises: UsageError with the file and the word.
    """
    for file in sorted(path for path in kext.rglob("*") if path.is_file()):
        data = file.read_bytes()
        for word in test_names:
            if word.encode() in data:
                inner = file.relative_to(kext.parent)
                raise UsageError(
                    f"{inner} holds '{word}': a test build is not released",
                    hint="invoke kernel-build --target macos makes the one for release",
                )


def notarisation(archive: Path, identity: str) -> tuple[str, ...]:
    """Return what is left to do before others can load the kext, one command a line."""
    signed = (
        f"signed by {identity}"
        if identity
        else "not signed: on a Mac, invoke packages --identity 'Developer ID Application: ...' "
    )
    return (
        f"{archive.name}: {signed}",
        "a kext is signed with a Developer ID that Apple has enabled for kernel extensions",
        "notarise: ditto -c -k --keepParent NAME.kext NAME.zip",
        "          xcrun notarytool submit NAME.zip --keychain-profile PROFILE --wait",
        "staple:   xcrun stapler staple NAME.kext, then pack again",
        "none of this has been verified on hardware",
    )


def _tar(kext: Path, name: str, epoch_s: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(bundle.entry(name, folder=True, at=epoch_s))
        for script in ("install.sh", "uninstall.sh"):
            _add(tar, f"{name}/{script}", (_SCRIPTS / script).read_bytes(), epoch_s, _PROGRAM_MODE)
        tar.addfile(bundle.entry(f"{name}/{kext.name}", folder=True, at=epoch_s))
        for path in sorted(kext.rglob("*")):
            inner = f"{name}/{kext.name}/{path.relative_to(kext).as_posix()}"
            if path.is_dir():
                tar.addfile(bundle.entry(inner, folder=True, at=epoch_s))
            else:
                _add(tar, inner, path.read_bytes(), epoch_s, 0o644)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes, epoch_s: int, mode: int) -> None:
    info = bundle.entry(name, size_bytes=len(data), mode=mode, at=epoch_s)
    tar.addfile(info, io.BytesIO(data))


def _sign(kext: Path, identity: str) -> None:
    if shutil.which("codesign") is None:
        raise UsageError(
            "codesign is not here, so nothing can be signed",
            hint="pack on a Mac, or leave --identity out and sign there",
        )
    steps = (
        ["codesign", "--force", "--timestamp", "--sign", identity, str(kext)],
        ["codesign", "--verify", "--strict", str(kext)],
    )
    for step in steps:
        done = subprocess.run(step, check=False, capture_output=True, text=True, timeout=_SIGN_S)
        if done.returncode != 0:
            said = (done.stdout + done.stderr).splitlines()
            raise BuildError(f"codesign refuses {kext.name}", evidence=said[-20:])
