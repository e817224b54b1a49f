# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Fetch kernels of the distribution and unpack them in the cache; nothing is installed.

One kernel is what QEMU boots (vmlinuz and the harness's tiny initrd), a disk with its modules that
any image mounts, and the headers that modules are built against. `kernel_parts` makes initrd and
disk; `own_kernels` takes kernels that are not Debian's packages, `kernel_build` builds kernels.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.artefacts import kernel_parts, own_kernels
from harness.artefacts.cached import artefact
from harness.artefacts.cached.artefact import Artefact
from harness.artefacts.kernel_build import built
from harness.errors import KernelError
from harness.host import apt, apt_suite, cache
from harness.model.machines import BuildSpec, KernelSpec
from harness.model.settings import Kernel

Progress = Callable[[str], None]

# Raise this number when this module or `initrd` makes different files from the same package.
_FORMAT = "4"
_HEADERS_FORMAT = "1"
_LOCK_S = 900.0
_HOST_ARCH = "amd64"
_IMAGE, _HEADERS = "linux-image-", "linux-headers-"
_MERGED = "usr/lib/modules"
_READY = "ready"


def ensure(
    name: str, spec: KernelSpec, *, root: Path, shared: Path | None = None, progress: Progress
) -> Kernel:
    """Return a kernel from the cache, or from the `shared` one; or fetch, build or prepare it.

    For a meta package (linux-image-cloud-amd64) the kernel on which it depends today is returned.
    Raises: KernelError when the kernel cannot be fetched, unpacked, built or prepared; CacheBusy;
        Lost when the disk is full or the host's apt has no lists.
    """
    if spec.source or spec.fragments:
        return built.ensure(name, spec, root=root, shared=shared, progress=progress)
    if not spec.package:
        return own_kernels.ensure(name, spec, root=root, progress=progress)
    suite = "" if spec.suite == apt.own_suite() else spec.suite
    view = apt_suite.view(suite, root=root, progress=progress) if suite else ()

    def ask() -> list[str]:
        return _versions(resolve(spec.package, *view), *view)

    # apt's answer is stored until the host's apt lists change, separately for each suite.
    versions = ask() if suite else apt.cached_answer(root, spec.package, ask)
    packages = [one.partition("=")[0] for one in versions]
    release = packages[0].removeprefix(_IMAGE)
    key = cache.key_of(_FORMAT, *versions)

    def make(folder: Path) -> None:
        size_mib = apt.download_mib(packages, *view)
        progress(f"fetching {release}: {', '.join(packages)} ({size_mib} MiB)")
        _unpack(packages, folder, progress, view)
        _assemble(release, versions[0].partition("=")[2], folder)

    wanted = Artefact(
        folder=root / "kernels" / f"{release}-{key}",
        what=f"kernel {release}",
        lock_s=_LOCK_S,
        shared=shared,
    )
    folder = artefact.ensure(wanted, make, problem=kernel_parts.problem, progress=progress)
    found = kernel_parts.kernel(name, key, folder)
    return replace(found, suite=suite, cc=spec.cc)


def ensure_headers(
    name: str, spec: BuildSpec, *, root: Path, shared: Path | None = None, progress: Progress
) -> Kernel:
    """Return a kernel that modules can be built for, and that nothing boots.

    Its headers come from a cache or are fetched now; the files that a guest would boot do not
    exist.
    Raises: KernelError when its headers cannot be fetched or unpacked, CacheBusy, Lost.
    """
    suite = spec.suite or apt.own_suite()
    foreign = "" if spec.arch == _HOST_ARCH else spec.arch
    view = apt_suite.view(suite, root=root, progress=progress, arch=foreign)
    names = _header_packages(_resolved(spec.headers, foreign, view), *view)
    versions = _versioned(names, apt.versions(names, *view))
    release = names[0].removeprefix(_HEADERS).partition(":")[0]
    key = cache.key_of(_HEADERS_FORMAT, *versions)

    def make(folder: Path) -> None:
        progress(f"fetching headers of {release}: {', '.join(names)}")
        _unpack_headers(versions, folder, view)

    wanted = Artefact(
        folder=root / "headers" / f"{release}-{key}",
        what=f"headers of {release}",
        lock_s=_LOCK_S,
        shared=shared,
    )
    lack = artefact.lack_of(_READY)
    folder = artefact.ensure(wanted, make, problem=lack, progress=progress)
    kdir = folder / "src" / f"{_HEADERS}{release}"
    return Kernel(
        name=name,
        release=release,
        version=versions[0].partition("=")[2],
        key=key,
        vmlinuz=folder / "vmlinuz",
        initrd=folder / "initrd",
        modules_disk=folder / "modules.ext4",
        kdir=kdir,
        config=kdir / ".config",
        suite=spec.suite,
        cc=spec.cc,
    )


def resolve(package: str, *view: str) -> str:
    """Return the name of a kernel's image package.

    For a meta package, this is the image package on which it depends. Any other name is returned
    unchanged. `view` are the options by which apt shows another suite.
    Raises: KernelError when the name is no kernel image's, or when apt does not know it.
    """
    if not package.startswith(_IMAGE):
        raise KernelError(
            f"{package} is no kernel image",
            hint="a kernel's package is named linux-image-...",
        )
    images = [one for one in apt.depends(package, *view) if one.startswith(_IMAGE)]
    return images[0] if images else package


def _versions(package: str, *view: str) -> list[str]:
    """Return NAME=VERSION of every package from which a kernel is made, the kernel's image first.

    busybox comes from the host's own suite, because Debian 11's cannot find a disk by its label.
    Raises: KernelError when apt does not offer one of the packages.
    """
    needed = _packages(package, *view)
    known = {**apt.versions(needed, *view), **apt.versions([kernel_parts.BUSYBOX])}
    return _versioned(needed, known)


def _packages(package: str, *view: str) -> tuple[str, ...]:
    wanted = package.replace(_IMAGE, _HEADERS, 1)
    release = package.removeprefix(_IMAGE)
    # The image package of Debian's newer kernels (7.3 for example) is empty: it depends on
    # linux-base-RELEASE with the configuration, linux-binary-RELEASE and linux-modules-RELEASE.
    parts = [one for one in apt.depends(package, *view) if one.endswith(f"-{release}")]
    return (package, *parts, *_header_packages(wanted, *view), kernel_parts.BUSYBOX)


def _unpack(
    packages: Sequence[str], folder: Path, progress: Progress, view: Sequence[str]
) -> None:
    fetched = folder / "packages"
    fetched.mkdir()
    own = [one for one in packages if one.partition("=")[0] == kernel_parts.BUSYBOX]
    others = [one for one in packages if one not in own]
    apt.download(others, fetched, *view)
    files = apt.download(own, fetched)
    progress(f"unpacking {len(files)} packages")
    for file in files:
        kernel_parts.run("dpkg-deb", "--extract", file, folder / "tree")
    shutil.rmtree(fetched)


def _assemble(release: str, version: str, folder: Path) -> None:
    tree = folder / "tree"
    # Packages for a merged /usr have their modules below it.
    modules = _first(tree, f"lib/modules/{release}", f"{_MERGED}/{release}")
    for name in ("vmlinuz", "config"):
        found = _first(tree, f"boot/{name}-{release}", f"{_MERGED}/{release}/{name}")
        found.rename(folder / name)
    busybox = kernel_parts.busybox(tree)
    kernel_parts.finish(folder, release, modules, busybox=busybox, version=version)
    kernel_parts.take_headers(tree, folder)
    shutil.rmtree(tree)


def _first(tree: Path, *places: str) -> Path:
    """Return the first of the relative paths that exists in the tree of an unpacked kernel.

    Raises: KernelError when none does, because Debian's packages are laid out in another way.
    """
    found = next((tree / place for place in places if (tree / place).exists()), None)
    if found is None:
        raise KernelError(
            f"the kernel's packages hold none of {', '.join(places)}",
            hint="Debian has moved it to another package: report this",
        )
    return found


def _resolved(package: str, arch: str, view: Sequence[str]) -> str:
    """Return the name, in apt, of the package with the headers of one kernel version.

    `package` is this package or a meta package that depends on it. The name ends in :ARCH if
    `arch` is given.
    Raises: KernelError when it is no name of a package of headers, or apt does not know it.
    """
    if not package.startswith(_HEADERS):
        raise KernelError(
            f"{package} holds no headers", hint=f"their packages are named {_HEADERS}..."
        )
    wanted = f"{package}:{arch}" if arch else package
    needed = apt.depends(wanted, *view)
    if any(one.startswith("linux-kbuild-") for one in needed):
        return wanted
    return next((one for one in needed if one.startswith(_HEADERS)), wanted)


def _header_packages(package: str, *view: str) -> tuple[str, ...]:
    """Return the names of the packages that building against one kernel's headers needs.

    They are the given package of headers, the headers that it shares with other kernels, and the
    programs of kbuild. The shared headers are for every architecture, and the programs are those
    for this host.
    Raises: KernelError when it is no package of headers.
    """
    needed = [one.strip("<>").partition(":")[0] for one in apt.depends(package, *view)]
    common = [one for one in needed if one.startswith((_HEADERS, "linux-kbuild-"))]
    if len(common) < 2:
        raise KernelError(
            f"{package} does not depend on common headers and kbuild tools", evidence=needed
        )
    return (package, *common)


def _versioned(names: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """Return NAME=VERSION of each package; `known` are the versions that apt offers, by name.

    Raises: KernelError that lists the packages that apt does not offer.
    """
    missing = [one for one in names if one not in known]
    if missing:
        raise KernelError(
            f"apt offers no {', '.join(missing)}", hint="`apt-get update` as root renews its lists"
        )
    return [f"{one}={known[one]}" for one in names]


def _unpack_headers(versions: Sequence[str], folder: Path, view: Sequence[str]) -> None:
    fetched, tree = folder / "packages", folder / "tree"
    fetched.mkdir()
    for file in apt.download(versions, fetched, *view):
        kernel_parts.run("dpkg-deb", "--extract", file, tree)
    kernel_parts.take_headers(tree, folder)
    shutil.rmtree(fetched)
    shutil.rmtree(tree)
    (folder / _READY).touch()
