# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Take the source of a kernel: from a linux-source package of Debian, or the user's own tree.

A package's source is unpacked into the cache once, and each kernel built from it uses it in place.
A tree is never written to; it must be one in which no kernel was built (make mrproper).
"""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.artefacts import kernel_parts
from harness.artefacts.cached import artefact
from harness.artefacts.cached.artefact import Artefact
from harness.artefacts.kernel_build.fragments import Version
from harness.errors import KernelError
from harness.host import apt, apt_suite, cache
from harness.model.machines import KernelSpec

Progress = Callable[[str], None]

PREFIX = "linux-source"
_LOCK_S = 1800.0
_READY = ".unpacked"
_NUMBERS = re.compile(r"^(VERSION|PATCHLEVEL|SUBLEVEL) *= *(\d+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Source:
    """An unpacked kernel source: its folder, its version, and a hash that stands for its content.

    The hash `key` is that of the package's name and version, or for a user's tree that of the
    names, sizes and times of its files.
    """

    folder: Path
    version: Version
    patch: int
    key: str

    @property
    def release(self) -> str:
        """The kernel release that the source builds, without a suffix: 6.1.192, for example."""
        return f"{self.version[0]}.{self.version[1]}.{self.patch}"

    def kconfigs(self) -> Iterator[str]:
        """Yield the texts of the source's Kconfig files, to explain why an option was refused."""
        for file in sorted(self.folder.rglob("Kconfig*")):
            if file.is_file():
                yield file.read_text(errors="replace")


def ensure(spec: KernelSpec, *, root: Path, progress: Progress) -> Source:
    """Return the source that a kernel is built from; a package's is fetched and unpacked once.

    Raises: KernelError when there is no such package, for a folder without a kernel's source, and
        for a tree with a .config; CacheBusy; Lost when the disk is full.
    """
    if spec.tree is not None:
        return _source(spec.tree, _state_of(spec.tree))
    suite = "" if spec.suite == apt.own_suite() else spec.suite
    view = apt_suite.view(suite, root=root, progress=progress) if suite else ()
    wanted = _resolved(spec.source, view)
    key = cache.key_of(wanted)
    version = wanted.partition("=")[2].partition("-")[0]
    # Paths of files are shown from such a name on: see symbols.paths.
    folder = root / "sources" / f"linux-{version}-{key}"

    def make(folder: Path) -> None:
        progress(f"fetching {wanted} ({apt.download_mib([wanted], *view)} MiB)")
        _unpack(wanted, folder, view, progress)

    # Not in the shared cache: a source is one package, and ten times as large when unpacked.
    source = Artefact(folder=folder, what=wanted, lock_s=_LOCK_S)
    artefact.ensure(source, make, problem=artefact.lack_of(_READY), progress=progress)
    return _source(folder, key)


def _resolved(package: str, view: tuple[str, ...]) -> str:
    """Return NAME=VERSION of the linux-source package that the name `package` means to apt.

    For a meta package it is the package on which this depends. `view` are options by which apt
    shows another suite.
    Raises: KernelError when apt does not offer it.
    """
    below = [one for one in apt.depends(package, *view) if one.startswith(f"{PREFIX}-")]
    name = below[0] if below else package
    known = apt.versions([name], *view)
    if name not in known:
        raise KernelError(
            f"apt offers no {name}", hint="`apt-get update` as root renews its lists"
        )
    return f"{name}={known[name]}"


def _unpack(wanted: str, folder: Path, view: tuple[str, ...], progress: Progress) -> None:
    packages, tree = folder / "packages", folder / "tree"
    packages.mkdir()
    (file,) = apt.download([wanted], packages, *view)
    progress(f"unpacking {wanted}")
    kernel_parts.run("dpkg-deb", "--extract", file, tree)
    archive = next(iter((tree / "usr/src").glob(f"{PREFIX}-*.tar.*")), None)
    if archive is None:
        raise KernelError(f"{wanted} contains no source of a kernel")
    top = "--strip-components=1"
    kernel_parts.run("tar", "-x", "--no-same-owner", top, "-f", archive, "-C", folder)
    shutil.rmtree(packages)
    shutil.rmtree(tree)
    (folder / _READY).touch()


def _source(folder: Path, key: str) -> Source:
    makefile = folder / "Makefile"
    text = makefile.read_text(errors="replace") if makefile.is_file() else ""
    numbers = {name: int(value) for name, value in _NUMBERS.findall(text)}
    if len(numbers) < 3:
        raise KernelError(
            f"{folder} is no source of a kernel", hint="its Makefile has no VERSION and PATCHLEVEL"
        )
    if (folder / ".config").exists():
        raise KernelError(
            f"{folder} has a .config, so nothing can be built from it in another folder",
            hint="run make mrproper there, or leave out fragments to use it as it is built",
        )
    version = numbers["VERSION"], numbers["PATCHLEVEL"]
    return Source(folder=folder, version=version, patch=numbers["SUBLEVEL"], key=key)


def _state_of(tree: Path) -> str:
    """Return a hash of the names, sizes and times of a source tree's files, without git's own."""
    total = hashlib.sha256()
    for folder, folders, files in os.walk(tree):
        folders[:] = sorted(set(folders) - {".git"})
        for name in sorted(files):
            status = (Path(folder) / name).lstat()
            total.update(f"{folder}/{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return total.hexdigest()
