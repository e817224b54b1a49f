# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Kernels from the distribution's packages, unpacked so that nothing of them is installed.

One kernel is what QEMU boots (vmlinuz and a tiny initrd of ours), a disk with its modules that
any image mounts, and the headers that modules are built against. `initrd` writes the initrd.
"""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.artefacts import initrd
from harness.errors import KernelError
from harness.host import apt, apt_suite, cache, tool
from harness.model.machines import KernelSpec
from harness.model.settings import Kernel

Progress = Callable[[str], None]

# Raised when this module or `initrd` changes what comes out.
_FORMAT = "4"
_LOCK_S = 900.0
_STEP_S = 600.0
_BUSYBOX = "busybox-static"
# Spare room for the file system's own structures, beside the modules.
_DISK_SPARE_MIB = 16


def ensure(name: str, spec: KernelSpec, *, root: Path, progress: Progress) -> Kernel:
    """Return the kernel of a package, from the cache or fetched and unpacked now.

    A meta package (linux-image-cloud-amd64) gives the kernel that it depends on today.
    Raises: KernelError when it cannot be fetched or unpacked, CacheBusy, Lost on a full disk.
    """
    suite = "" if spec.suite == apt.own_suite() else spec.suite
    view = apt_suite.view(suite, root=root, progress=progress) if suite else ()

    def ask() -> list[str]:
        return _versions(resolve(spec.package, *view), *view)

    # What is remembered is forgotten when the host's lists change, and a suite has its own.
    versions = ask() if suite else apt.cached_answer(root, spec.package, ask)
    packages = [one.partition("=")[0] for one in versions]
    release = packages[0].removeprefix("linux-image-")
    key = cache.key_of(_FORMAT, *versions)
    folder = root / "kernels" / f"{release}-{key}"
    held = cache.lock(
        folder.with_name(f".{folder.name}.lock"),
        what=f"kernel {release}",
        deadline_s=_LOCK_S,
        progress=progress,
    )
    with held:
        if not (folder / "kernel.json").is_file():
            progress(f"fetching {release}: {', '.join(packages)}")
            with cache.publish(folder) as beside:
                _unpack(packages, beside, progress, view)
                _assemble(release, beside)
                facts = {
                    "release": release,
                    "version": versions[0].partition("=")[2],
                    "made": secrets.token_hex(4),
                }
                (beside / "kernel.json").write_text(json.dumps(facts) + "\n")
            cache.forget_unused(root / "kernels")
        os.utime(folder)
    found = _kernel(name, release, key, folder)
    return replace(found, suite=suite, cc=spec.cc)


def resolve(package: str, *view: str) -> str:
    """Return the versioned image package behind a name, which may be a meta package.

    Raises: KernelError when apt knows no such kernel.
    """
    if not package.startswith("linux-image-"):
        raise KernelError(
            f"{package} is no kernel image",
            hint="a kernel's package is named linux-image-...",
        )
    images = [one for one in apt.depends(package, *view) if one.startswith("linux-image-")]
    return images[0] if images else package


def _versions(package: str, *view: str) -> list[str]:
    """Return NAME=VERSION of every package that makes this kernel, its image first.

    busybox is the host's own: that of Debian 11 cannot find a disk by its label.
    """
    needed = _packages(package, *view)
    known = {**apt.versions(needed, *view), **apt.versions([_BUSYBOX])}
    missing = [one for one in needed if one not in known]
    if missing:
        raise KernelError(
            f"apt offers no {', '.join(missing)}", hint="`apt-get update` as root renews its lists"
        )
    return [f"{one}={known[one]}" for one in needed]


def _packages(package: str, *view: str) -> tuple[str, ...]:
    headers = package.replace("linux-image-", "linux-headers-", 1)
    needed = apt.depends(headers, *view)
    common = [one for one in needed if one.startswith(("linux-headers-", "linux-kbuild-"))]
    if len(common) < 2:
        raise KernelError(
            f"{headers} does not depend on common headers and kbuild tools",
            evidence=needed,
        )
    return (package, headers, *common, _BUSYBOX)


def _unpack(
    packages: Sequence[str], folder: Path, progress: Progress, view: Sequence[str]
) -> None:
    fetched = folder / "packages"
    fetched.mkdir()
    own = [one for one in packages if one.partition("=")[0] == _BUSYBOX]
    others = [one for one in packages if one not in own]
    apt.download(others, fetched, *view)
    files = apt.download(own, fetched)
    progress(f"unpacking {len(files)} packages")
    for file in files:
        _run("dpkg-deb", "--extract", file, folder / "tree")
    shutil.rmtree(fetched)


def _assemble(release: str, folder: Path) -> None:
    tree = folder / "tree"
    (tree / "boot" / f"vmlinuz-{release}").rename(folder / "vmlinuz")
    (tree / "boot" / f"config-{release}").rename(folder / "config")
    modules = next(
        base / "lib/modules" / release
        for base in (tree, tree / "usr")
        if (base / "lib/modules" / release).is_dir()
    )
    for link in ("build", "source"):
        (modules / link).unlink(missing_ok=True)
    base = modules.parents[2]
    _run("depmod", "-b", base, release)
    (folder / "initrd").write_bytes(
        initrd.build(busybox=_busybox(tree), modules=modules, wanted=initrd.WANTED)
    )
    _modules_disk(modules, folder / "modules.ext4")
    (tree / "usr/src").rename(folder / "src")
    if (tree / "usr/lib").is_dir():
        _move_kbuild(tree / "usr/lib", folder / "lib")
    shutil.rmtree(tree)
    _relocate(folder / "src")


def _busybox(tree: Path) -> bytes:
    for place in ("bin/busybox", "usr/bin/busybox"):
        if (tree / place).is_file():
            return (tree / place).read_bytes()
    raise KernelError(f"{_BUSYBOX} holds no busybox")


def _modules_disk(modules: Path, disk: Path) -> None:
    """Write an ext4 file with the modules at its top, as /lib/modules shows them."""
    top = modules.parent
    size_mib = cache.size_bytes(top) // 2**20 * 11 // 10 + _DISK_SPARE_MIB
    _run(
        *("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-E", "root_owner=0:0"),
        *("-L", "harness-modules", "-d", top, disk, f"{size_mib}M"),
    )


def _move_kbuild(source: Path, target: Path) -> None:
    target.mkdir()
    for folder in source.glob("linux-kbuild-*"):
        folder.rename(target / folder.name)


def _relocate(source: Path) -> None:
    """Make the headers work wherever the folder lies, so that a cache can be moved or copied."""
    for makefile in source.glob("linux-headers-*/Makefile"):
        text = makefile.read_text()
        here = "$(dir $(lastword $(MAKEFILE_LIST)))../"
        makefile.write_text(text.replace("/usr/src/", here))
    for folder in source.glob("linux-headers-*"):
        for name in ("scripts", "tools"):
            link = folder / name
            if link.is_symlink():
                target = link.readlink()
                link.unlink()
                link.symlink_to(Path("../../lib") / target.parts[-2] / name)


def _kernel(name: str, release: str, key: str, folder: Path) -> Kernel:
    facts = json.loads((folder / "kernel.json").read_text())
    return Kernel(
        name=name,
        release=release,
        version=facts["version"],
        key=f"{key}-{facts['made']}",
        vmlinuz=folder / "vmlinuz",
        initrd=folder / "initrd",
        modules_disk=folder / "modules.ext4",
        kdir=folder / "src" / f"linux-headers-{release}",
        config=folder / "config",
    )


def _run(*command: str | Path) -> None:
    folder = Path(command[-1]).parent
    within = tool.Surroundings(environment=tool.PLAIN_ENVIRONMENT, disk=folder)
    tool.run(command, deadline_s=_STEP_S, error=KernelError, within=within)
