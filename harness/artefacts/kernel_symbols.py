# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Fetch or take a kernel's vmlinux, check that it is of the same build, and cache it.

Of the debug package only vmlinux is kept, and a reduced copy without line tables for debuggers
that are too slow with the whole. The rest of the harness works without these files; only the
kernel's own frames then have no line numbers.
"""

import json
import mmap
import os
import re
import shutil
import struct
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.artefacts.cached import artefact
from harness.artefacts.cached.artefact import Artefact
from harness.errors import KernelError
from harness.host import apt, cache, tool
from harness.model.settings import Kernel
from harness.symbols import elf

Progress = Callable[[str], None]

# Raise this number when this module makes different files from the same package.
_FORMAT = "1"
_LOCK_S = 1800.0
_UNPACK_S = 600.0
_VMLINUX = "vmlinux"
# With the whole debug information lldb up to 19 takes minutes for a backtrace through gcc's split
# functions (llvm PRs 111409, 133072, 137006, 140927); symbols and unwind tables are enough for a
# backtrace.
_REDUCED = "vmlinux.lldb"
_FACTS = "symbols.json"
# Offsets in a bzImage. Source: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
_MAGIC_AT = 0x202
_VERSION_AT = 0x20E
_VERSION_BASE = 0x200
_BANNER = re.compile(rb"Linux version [^\0\n]{1,512}")


@dataclass(frozen=True, kw_only=True)
class KernelSymbols:
    """A kernel's vmlinux, its reduced copy without line tables, and its build id."""

    release: str
    vmlinux: Path
    reduced: Path
    build_id: str


def find(kernel: Kernel, root: Path) -> Path | None:
    """Return the vmlinux of a kernel if the cache has it; never fetch it."""
    found = find_all(kernel, root)
    return found.vmlinux if found else None


def find_all(kernel: Kernel, root: Path) -> KernelSymbols | None:
    """Return all symbol files that the cache has for a kernel, or None; never fetch them."""
    return find_release(kernel.release, kernel.version, root)


def find_release(release: str, version: str, root: Path) -> KernelSymbols | None:
    """Return the cached symbol files of one kernel release and package version, or None.

    None means that the cache does not have them; nothing is fetched.
    """
    folder = _folder(release, version, root)
    try:
        facts = json.loads((folder / _FACTS).read_text())
        os.utime(folder)
    except FileNotFoundError:
        return None
    return _symbols(folder, {**facts, "release": release})


def of_release(release: str, root: Path) -> tuple[KernelSymbols, ...]:
    """Return the cached symbol files of a kernel release in any version, the last used first.

    apt may by now offer a later version than the one that a guest runs.
    """
    found = []
    for file in (root / "symbols").glob(f"{_VMLINUX}-{release}-*/{_FACTS}"):
        facts = json.loads(file.read_text())
        if facts["release"] != release:
            continue
        folder = file.parent
        found.append((folder.stat().st_mtime, _symbols(folder, facts)))
    return tuple(one for _, one in sorted(found, key=lambda pair: -pair[0]))


def _symbols(folder: Path, facts: dict[str, str]) -> KernelSymbols:
    return KernelSymbols(
        release=facts["release"],
        vmlinux=folder / _VMLINUX,
        reduced=folder / _REDUCED,
        build_id=facts["build_id"],
    )


def ensure(
    kernel: Kernel, *, root: Path, shared: Path | None = None, progress: Progress
) -> KernelSymbols:
    """Return the symbol files of exactly this kernel, from a cache or fetched now.

    Raises: KernelError when apt no longer offers them or they belong to another build; CacheBusy;
        Lost when the disk is full.
    """
    wanted = _artefact(kernel, root, shared)

    def make(folder: Path) -> None:
        _make(kernel, folder, progress)

    artefact.ensure(wanted, make, problem=artefact.lack_of(_FACTS), progress=progress)
    found = find_all(kernel, root)
    if found is None:
        raise KernelError(f"{wanted.folder} went away while it was used")
    return found


def _artefact(kernel: Kernel, root: Path, shared: Path | None) -> Artefact:
    folder = _folder(kernel.release, kernel.version, root)
    what = f"symbols of {kernel.release}"
    return Artefact(folder=folder, what=what, lock_s=_LOCK_S, shared=shared)


def keep(
    kernel: Kernel, vmlinux: Path, *, root: Path, shared: Path | None = None, progress: Progress
) -> None:
    """Move the vmlinux of a kernel that was built here to the symbol files in the cache.

    They are given to the shared cache, too, if there is one.
    Raises: KernelError when vmlinux belongs to another build; Lost when the disk is full.
    """
    wanted = _artefact(kernel, root, shared)
    progress(f"keeping {_VMLINUX} of {kernel.release}")
    with cache.publish(wanted.folder) as beside:
        shutil.move(vmlinux, beside / _VMLINUX)
        _finish(kernel, beside)
    artefact.give(wanted, progress)


def _folder(release: str, version: str, root: Path) -> Path:
    key = cache.key_of(_FORMAT, release, version)
    return root / "symbols" / f"{_VMLINUX}-{release}-{key}"


def _make(kernel: Kernel, folder: Path, progress: Progress) -> None:
    package = f"linux-image-{kernel.release}-dbg"
    size_mib = apt.download_mib([f"{package}={kernel.version}"])
    progress(f"fetching {package} {kernel.version} ({size_mib} MiB), once")
    deb = _fetched(package, kernel, folder)
    progress(f"unpacking {_VMLINUX} of {kernel.release}")
    _extract(deb, f"vmlinux-{kernel.release}", folder / _VMLINUX)
    shutil.rmtree(deb.parent)
    _finish(kernel, folder)


def _finish(kernel: Kernel, folder: Path) -> None:
    """Complete the folder of a kernel's symbol files, which so far contains only vmlinux.

    vmlinux is checked against the kernel. Its reduced copy is added, and a file with release and
    build id.
    Raises: KernelError when vmlinux belongs to another build.
    """
    vmlinux = folder / _VMLINUX
    check_banner(vmlinux, kernel.vmlinuz)
    _reduce(vmlinux, folder / _REDUCED)
    facts = {"release": kernel.release, "build_id": elf.build_id(vmlinux)}
    (folder / _FACTS).write_text(json.dumps(facts) + "\n")


def _fetched(package: str, kernel: Kernel, folder: Path) -> Path:
    packages = folder / "packages"
    packages.mkdir()
    try:
        return apt.download([f"{package}={kernel.version}"], packages)[0]
    except KernelError as error:
        if any("No space left" in line for line in error.evidence):
            raise cache.no_space(folder) from error
        raise KernelError(
            f"apt does not offer {package} {kernel.version}, so {kernel.release} has no vmlinux",
            hint="a superseded kernel's is gone: `apt-get update` as root, then test on the newer "
            "one. Frames of the module have lines all the same",
            evidence=error.evidence,
        ) from error


def _extract(deb: Path, name: str, target: Path) -> None:
    """Extract one file of a package to `target`, without unpacking the rest.

    Raises: KernelError when the package does not contain the file or cannot be unpacked.
    """
    command = ["dpkg-deb", "--fsys-tarfile", str(deb)]
    try:
        with (
            tool.reading(command, deadline_s=_UNPACK_S, error=KernelError) as stream,
            tarfile.open(fileobj=stream, mode="r|") as archive,
        ):
            member = next((one for one in archive if Path(one.name).name == name), None)
            content = archive.extractfile(member) if member is not None else None
            if content is None:
                raise KernelError(f"{deb.name} does not contain {name}")
            with target.open("wb") as file:
                shutil.copyfileobj(content, file, 1 << 20)
    except tarfile.TarError as error:
        raise KernelError(f"{deb.name} cannot be unpacked: {error}") from error


def check_banner(vmlinux: Path, vmlinuz: Path) -> None:
    """Check that vmlinux and vmlinuz contain the same version text, so are of one build.

    Raises: KernelError with both version texts, or when vmlinuz is not a bzImage.
    """
    boots = _version_of(vmlinuz)
    release, _, rest = boots.partition(" ")
    with vmlinux.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        banners = [hit.group().decode(errors="replace") for hit in _BANNER.finditer(data)]
    # The text is 'Linux version RELEASE (WHO) (COMPILER) #1 SMP ...' in vmlinux; vmlinuz has the
    # same text without COMPILER.
    version = rest[rest.find("#") :]
    if any(
        one.startswith(f"Linux version {release} ") and one.endswith(version) for one in banners
    ):
        return
    raise KernelError(
        f"{vmlinux.name} belongs to another kernel than the one that boots",
        evidence=[f"boots: {boots}", *(f"vmlinux: {one}" for one in banners[:3])],
    )


def _version_of(vmlinuz: Path) -> str:
    with vmlinuz.open("rb") as file:
        head = file.read(1 << 16)
    if head[_MAGIC_AT : _MAGIC_AT + 4] != b"HdrS":
        raise KernelError(f"{vmlinuz} is no bzImage")
    (offset,) = struct.unpack_from("<H", head, _VERSION_AT)
    text = head[_VERSION_BASE + offset :].partition(b"\0")[0]
    return text.decode(errors="replace")


def _reduce(vmlinux: Path, target: Path) -> None:
    command = ["objcopy", "--strip-debug", "--keep-section=.debug_frame"]
    within = tool.Surroundings(disk=target.parent)
    tool.run(
        [*command, str(vmlinux), str(target)],
        deadline_s=_UNPACK_S,
        error=KernelError,
        within=within,
    )
