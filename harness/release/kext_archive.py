# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Pack a kext and its installer into a release archive; the same kext gives the same bytes.

A test build is refused, by its names and by its ABI number. On a Mac, codesign can sign the kext;
a kext needs a Developer ID that Apple has enabled for kernel extensions.
"""

import gzip
import io
import shlex
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import hints
from harness.errors import BuildError, UsageError
from harness.host import tool, whole_file
from harness.release import gate
from harness.release.gate import ReleaseRules
from harness.systems.macos import bundle

_SCRIPTS = Path(__file__).parent
_SIGN_S = 300.0
_PROGRAM_MODE = 0o755
_INSTALLERS = ("install.sh", "uninstall.sh")
_FOR_RELEASE = f"{hints.command('kernel-build', '--target', 'macos')} makes the one for release"
_NOBODY = "Developer ID Application: NAME (TEAM)"


@dataclass(frozen=True, kw_only=True)
class ArchiveRequest:
    """The kext to pack, the release's version, and the name with which codesign signs (or "").

    `epoch_s` is the time that all files of the archive get. `rules` tell a test build from a
    release.
    """

    kext: Path
    version: str
    epoch_s: int
    rules: ReleaseRules
    identity: str = ""


def make(request: ArchiveRequest, folder: Path) -> Path:
    """Write the archive into a folder, complete or not at all, and return it.

    Raises: UsageError for a test build, a missing kext, or an identity without codesign;
        BuildError when codesign fails.
    """
    check_release(request.kext, request.rules)
    _check_stamp(request)
    name = _name(request)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".harness-", dir=folder) as place:
        copy = Path(place) / request.kext.name
        shutil.copytree(request.kext, copy)
        if request.identity:
            _sign(copy, request.identity)
        members = ((script, _SCRIPTS / script, _PROGRAM_MODE) for script in _INSTALLERS)
        data = _tar(copy, name, request.epoch_s, tuple(members))
        file = folder / f"{name}.tar.gz"
        whole_file.write(file, gzip.compress(data, mtime=request.epoch_s))
        return file


def make_symbols(request: ArchiveRequest, dsym: Path, folder: Path) -> Path:
    """Write an archive of a kext's dSYM, for panic-explain and debuggers, and return the archive.

    Raises: UsageError when the dSYM belongs to a test build.
    """
    check_release(dsym, request.rules)
    file = folder / f"{_name(request)}-symbols.tar.gz"
    data = _tar(dsym, _name(request), request.epoch_s)
    file.write_bytes(gzip.compress(data, mtime=request.epoch_s))
    return file


def _name(request: ArchiveRequest) -> str:
    return f"{bundle.info_of(request.kext).executable}-{request.version}-macos"


def check_release(kext: Path, rules: ReleaseRules) -> None:
    """Check that no file of a kext or dSYM contains a word of `rules.forbidden`.

    Only a test build contains these words.
    Raises: UsageError with the file and the word.
    """
    for file in sorted(path for path in kext.rglob("*") if path.is_file()):
        data = file.read_bytes()
        for word in rules.forbidden:
            if word.encode() in data:
                inner = file.relative_to(kext.parent)
                raise UsageError(
                    f"{inner} holds '{word}': a test build is not released",
                    hint=_FOR_RELEASE,
                )


def _check_stamp(request: ArchiveRequest) -> None:
    """Check that the kext's binary records the ABI number of a release, not that of a test build.

    Raises: UsageError with everything in the binary that does not belong into a release.
    """
    name = bundle.info_of(request.kext).executable
    data = (request.kext / "Contents" / "MacOS" / name).read_bytes()
    stamped = bool(request.rules.stamp)
    objections = tuple(gate.objections(name, data, request.rules, stamped=stamped))
    if objections:
        raise UsageError(objections[0], hint=_FOR_RELEASE, evidence=objections)


def remaining_steps(archive: Path, identity: str, *, kext: str) -> tuple[str, ...]:
    """Return lines: whether the archive is signed, and the steps before others can load the kext.

    `kext` is the bundle's name. Without an identity, signing is one of the steps.
    """
    zipped = f"{kext}.zip"
    sign = " ".join(_sign_command(identity or _NOBODY, kext))
    pack = hints.command("packages", "--target", "macos", "--file", kext)
    return (
        f"{archive.name}: " + (f"signed by {identity}" if identity else "not signed"),
        "remaining steps, on a Mac with a Developer ID that Apple has enabled for kexts:",
        *(() if identity else (f"sign:     {sign}",)),
        f"notarise: ditto -c -k --keepParent {kext} {zipped}",
        f"          xcrun notarytool submit {zipped} --keychain-profile PROFILE --wait",
        f"staple:   xcrun stapler staple {kext}",
        f"pack:     {pack}",
        "none of this has been verified on hardware",
    )


def _tar(
    folder: Path, name: str, epoch_s: int, members: Sequence[tuple[str, Path, int]] = ()
) -> bytes:
    """Return a tar archive whose top folder `name` contains `members`, and `folder` as a folder.

    A member is a path below `name`, the host's file and its mode; the files of `folder` have the
    mode 0644. Everything gets the time `epoch_s`, so that equal content gives equal bytes.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(bundle.entry(name, folder=True, at=epoch_s))
        for member, file, mode in members:
            _add(tar, f"{name}/{member}", file.read_bytes(), epoch_s, mode)
        tar.addfile(bundle.entry(f"{name}/{folder.name}", folder=True, at=epoch_s))
        for path in sorted(folder.rglob("*")):
            inner = f"{name}/{folder.name}/{path.relative_to(folder).as_posix()}"
            if path.is_dir():
                tar.addfile(bundle.entry(inner, folder=True, at=epoch_s))
            else:
                _add(tar, inner, path.read_bytes(), epoch_s, 0o644)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes, epoch_s: int, mode: int) -> None:
    info = bundle.entry(name, size_bytes=len(data), mode=mode, at=epoch_s)
    tar.addfile(info, io.BytesIO(data))


def _sign_command(identity: str, kext: str) -> tuple[str, ...]:
    return ("codesign", "--force", "--timestamp", "--sign", shlex.quote(identity), kext)


def _sign(kext: Path, identity: str) -> None:
    if shutil.which("codesign") is None:
        raise UsageError(
            "codesign is not installed, so the kext cannot be signed",
            hint=f"leave --identity out, and sign on a Mac: "
            f"{' '.join(_sign_command(identity, kext.name))}",
        )
    steps = (
        ["codesign", "--force", "--timestamp", "--sign", identity, str(kext)],
        ["codesign", "--verify", "--strict", str(kext)],
    )
    for step in steps:
        done = tool.run(step, deadline_s=_SIGN_S, error=BuildError, check=False)
        if done.status != 0:
            raise BuildError(f"codesign failed on {kext.name}", evidence=done.lines[-20:])
