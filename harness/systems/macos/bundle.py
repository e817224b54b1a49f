# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read the Info.plist of a kext bundle on this host, and pack the bundle for a Mac.

The same bundle always gives the same archive, byte for byte. Its files belong to root:wheel, with
mode 755 for folders and 644 for files, because macOS does not load files that other users may
write.
"""

import io
import plistlib
import tarfile
from dataclasses import dataclass
from pathlib import Path
from xml.parsers.expat import ExpatError

from harness import hints
from harness.errors import UsageError

EXTENSIONS = "/Library/Extensions"
_FOLDER_MODE = 0o755
_FILE_MODE = 0o644


@dataclass(frozen=True, kw_only=True)
class KextInfo:
    """The values in a kext's Info.plist: identifier, version, and the name of its executable."""

    identifier: str
    version: str
    executable: str


def read_info(data: bytes, *, where: str) -> KextInfo:
    """Return the values of a kext from the bytes of its Info.plist.

    Raises: UsageError when they are not an Info.plist, or lack a value that a kext needs.
    """
    try:
        found = plistlib.loads(data)
        return KextInfo(
            identifier=str(found["CFBundleIdentifier"]),
            version=str(found["CFBundleVersion"]),
            executable=str(found["CFBundleExecutable"]),
        )
    except (plistlib.InvalidFileException, ExpatError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{where} is no Info.plist of a kext: {error}") from error


def info_of(bundle: Path) -> KextInfo:
    """Return the values in the Info.plist of a bundle on this host.

    Raises: UsageError when the folder is not a kext bundle.
    """
    file = bundle / "Contents" / "Info.plist"
    try:
        info = read_info(file.read_bytes(), where=str(file))
    except OSError as error:
        raise UsageError(
            f"{bundle} is no kext bundle: {error.strerror}",
            hint=f"{hints.command('kernel-build', '--target', 'macos')} makes one",
        ) from error
    if not (bundle / "Contents" / "MacOS" / info.executable).is_file():
        raise UsageError(f"{bundle} lacks its executable, {info.executable}")
    return info


def archive(bundle: Path, *, name: str = "") -> bytes:
    """Return a kext bundle as a tar archive, all of whose files belong to root:wheel.

    Its one top folder has the bundle's name, or `name`.
    """
    top = name or bundle.name
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(entry(top, folder=True))
        for path in sorted(bundle.rglob("*")):
            inner = f"{top}/{path.relative_to(bundle).as_posix()}"
            if path.is_dir():
                tar.addfile(entry(inner, folder=True))
            else:
                data = path.read_bytes()
                tar.addfile(entry(inner, size_bytes=len(data)), io.BytesIO(data))
    return buffer.getvalue()


def entry(
    name: str, *, folder: bool = False, size_bytes: int = 0, mode: int = _FILE_MODE, at: int = 0
) -> tarfile.TarInfo:
    """Return the header of a file or folder for a tar archive, owned by root:wheel.

    `at` is the time of modification, in seconds since 1970.
    """
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE if folder else tarfile.REGTYPE
    info.mode = _FOLDER_MODE if folder else mode
    info.size = size_bytes
    info.mtime = at
    info.uid = info.gid = 0
    info.uname, info.gname = "root", "wheel"
    return info
