# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Make the files by which QEMU boots an unpacked kernel: initrd and a disk with its modules."""

import json
import secrets
from pathlib import Path

from harness.artefacts import initrd
from harness.errors import KernelError
from harness.host import cache, tool
from harness.model.limits import Timeouts
from harness.model.settings import Accel, Kernel

BUSYBOX = "busybox-static"
_FACTS = "kernel.json"
_STEP_S = 600.0
# Without KVM a guest with the first three answers after 2 minutes, one with Debian's kernel after
# 16 s. With this factor boot_s is long enough for the former.
_SLOWNESS = 4.0
_SLOW = ("CONFIG_KASAN", "CONFIG_PROVE_LOCKING", "CONFIG_DEBUG_KMEMLEAK", "CONFIG_KCSAN")
# Room for the file system's own structures, in addition to the size of the modules.
_DISK_SPARE_MIB = 16


def finish(folder: Path, release: str, modules: Path, *, busybox: bytes, version: str) -> None:
    """Make initrd and modules disk from a folder of modules, and store the kernel's description.

    `modules` is the folder lib/modules/RELEASE of the unpacked kernel; its links to headers are
    removed. `busybox` is the bytes of that program. The caller itself puts vmlinuz, config and
    headers into `folder`.
    Raises: KernelError, Lost when the disk is full.
    """
    # They lead to folders that a guest does not have.
    for link in ("build", "source"):
        (modules / link).unlink(missing_ok=True)
    run("depmod", "-b", modules.parents[2], release)
    made = initrd.build(busybox=busybox, modules=modules, wanted=initrd.WANTED)
    (folder / "initrd").write_bytes(made)
    _modules_disk(modules, folder / "modules.ext4")
    facts = {"release": release, "version": version, "made": secrets.token_hex(4)}
    (folder / _FACTS).write_text(json.dumps(facts) + "\n")


def take_headers(tree: Path, folder: Path) -> None:
    """Move the headers out of unpacked packages into a kernel's folder; they may be split.

    Debian splits them: headers of one kernel, headers of several, and kbuild's programs.
    """
    if (tree / "usr/src").is_dir():
        (tree / "usr/src").rename(folder / "src")
        _relocate(folder / "src")
    programs = tuple(tree.glob("usr/lib/linux-kbuild-*"))
    if programs:
        (folder / "lib").mkdir()
    for one in programs:
        one.rename(folder / "lib" / one.name)


def _relocate(source: Path) -> None:
    """Make links and includes in the headers relative, so that a cache can be moved or copied."""
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


def problem(folder: Path) -> str:
    """Return the reason why a kernel in the cache is incomplete, or ""."""
    return "" if (folder / _FACTS).is_file() else f"it has no {_FACTS}"


def kernel(name: str, key: str, folder: Path) -> Kernel:
    """Return the description of the kernel in a folder of the cache."""
    facts = json.loads((folder / _FACTS).read_text())
    release = facts["release"]
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


def lacking(kernel: Kernel, *options: str) -> tuple[str, ...]:
    """Return those of the given options (CONFIG_NAME) that are neither y nor m in a kernel.

    The result is () when the kernel's configuration is unknown.
    """
    lines = kernel.config.read_text().splitlines()
    return tuple(
        one for one in options if lines and f"{one}=y" not in lines and f"{one}=m" not in lines
    )


def number(kernel: Kernel, option: str, default: int) -> int:
    """Return the number that a kernel's configuration gives an option, or else a default."""
    prefix = f"{option}="
    lines = kernel.config.read_text().splitlines()
    return next((int(one[len(prefix) :]) for one in lines if one.startswith(prefix)), default)


def has_leak_detector(kernel: Kernel) -> bool:
    """Return whether a kernel is built with kmemleak, which finds leaks of memory."""
    return "CONFIG_DEBUG_KMEMLEAK=y" in kernel.config.read_text().splitlines()


def deadline_factor(kernel: Kernel, limits: Timeouts, accel: Accel) -> float:
    """Return by what the deadlines of a guest are multiplied under an accelerator.

    They are longer for a kernel that checks each access or each lock.
    """
    lines = kernel.config.read_text().splitlines()
    checks = any(f"{one}=y" in lines for one in _SLOW)
    slow_host = limits.tcg_factor if accel is Accel.TCG else limits.kvm_factor
    return slow_host * (_SLOWNESS if checks else 1.0)


def busybox(tree: Path) -> bytes:
    """Return the bytes of the program busybox in an unpacked busybox package.

    Raises: KernelError when the package does not contain the program.
    """
    for place in ("bin/busybox", "usr/bin/busybox"):
        if (tree / place).is_file():
            return (tree / place).read_bytes()
    raise KernelError(f"{BUSYBOX} contains no busybox")


def _modules_disk(modules: Path, disk: Path) -> None:
    """Write an ext4 disk file with a kernel's modules, for the guest to mount.

    `modules` is the folder lib/modules/RELEASE; its parent folder becomes the disk's top folder.
    Raises: KernelError with the message of mke2fs, Lost when the disk is full.
    """
    top = modules.parent
    size_mib = cache.size_bytes(top) // 2**20 * 11 // 10 + _DISK_SPARE_MIB
    run(
        *("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-E", "root_owner=0:0"),
        *("-L", "harness-modules", "-d", top, disk, f"{size_mib}M"),
    )


def run(*command: str | Path) -> None:
    """Run a tool that makes a part of a kernel.

    Raises: KernelError with the tool's last lines, Lost when the disk is full.
    """
    folder = Path(command[-1]).parent
    within = tool.Surroundings(environment=tool.PLAIN_ENVIRONMENT, disk=folder)
    tool.run(command, deadline_s=_STEP_S, error=KernelError, within=within)
