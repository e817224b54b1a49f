# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The images, kernels and targets of the configuration, as values."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

# As in `settings`, a key that is not a field is an error.
_STRICT: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """One NAME.toml in the folder `images`: what the root file system is made of.

    Attributes:
        name: The name of the file, without .toml. No key: it is set when the file is read.
        suite: The Debian suite, bookworm for example.
        packages: The Debian packages to install, besides the essential ones.
        setup: A shell script beside the file that runs in the new root file system.
        size_mib: The size of the disk in MiB.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str
    suite: str
    packages: tuple[str, ...]
    setup: Path
    size_mib: int = 1536


@dataclass(frozen=True, kw_only=True)
class ImageChange:
    """An image that extends another one; also a NAME.toml with the key `extends`.

    Attributes:
        extends: The name of the other image: one of the project, or one that ships.
        packages: The Debian packages to install besides those of the other image.
        size_mib: The size of the disk in MiB, when it differs from the other image's.
        setup: A shell script to run instead of that of the other image.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    extends: str
    packages: tuple[str, ...] = ()
    size_mib: int | None = None
    setup: Path | None = None


@dataclass(frozen=True, kw_only=True)
class KernelSpec:
    """A kernel: a Debian package, its source, or your own. Exactly one of the first 5 keys is set.

    Attributes:
        package: The package linux-image-... that holds the kernel, or depends on it.
        source: The package linux-source-... that the harness builds a kernel from.
        tree: A built kernel tree. Modules are built against it where it lies. With `fragments`, it
            is a tree in which nothing was built, and the harness builds a kernel from it.
        files: Packages on the host, .deb or .rpm: image, modules, and headers to build against.
        image: A bzImage without modules. What a guest needs to boot must be built in.
        fragments: What a kernel that the harness builds has beside the fragment `base`: names of
            files NAME.config in the folder `kernels` of `images`, or of those that ship.
        build: Run make in `tree` before it is used.
        suite: The Debian suite to take it from, trixie for example, when it is not the host's own.
            The host's own apt fetches it.
        cc: The compiler of modules for it, gcc-13 for example, when it is not the kernel's own.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    package: str = ""
    source: str = ""
    tree: Path | None = None
    files: tuple[Path, ...] = ()
    image: Path | None = None
    fragments: tuple[Path, ...] = ()
    build: bool = False
    suite: str = ""
    cc: str = ""


@dataclass(frozen=True, kw_only=True)
class BuildSpec:
    """A kernel that the module is only built for, by `kernel-build --all`: no guest boots it.

    Attributes:
        headers: The package linux-headers-... that has its headers, or depends on it.
        suite: The Debian suite to take it from, when it is not the host's own; trixie-backports is
            one, too.
        arch: The architecture, as Debian names it: amd64 or arm64. For another one than this
            host's, a cross compiler must be installed.
        cc: The compiler, clang-16 for example, when it is not the kernel's own.
        variables: Make variables for this build, over those of the module.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    headers: str
    suite: str = ""
    arch: Literal["amd64", "arm64"] = "amd64"
    cc: str = ""
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TargetSpec:
    """A machine to test on: one image, one kernel, and the size of the machine.

    Attributes:
        image: The image, a file NAME.toml in the folder `images` or one that ships; or a table
            with `extends` and further keys.
        kernel: The kernel, a name in `kernels`.
        arch: The architecture of the machine.
        memory_mib: The guest's memory in MiB.
        vcpus: The number of the guest's processors.
        cpu: The model of the processors by libvirt's name, "Skylake-Client" for example; by
            default the host's own with KVM, and everything that QEMU can emulate without.
        numa: The number of NUMA nodes, on which processors and memory are spread evenly.
        disks_mib: The sizes in MiB of further disks, which are empty at the start of each guest:
            /dev/disk/by-id/virtio-disk0 and so on.
        nics: The QEMU names of further network cards, for example "e1000e". They are connected
            with each other and with nothing else.
        pci: The addresses of PCI devices of the host that the guest gets, "0000:03:00.0" for
            example.
        qemu: Further arguments for QEMU, for example ["-device", "edu"].
        cmdline: Words to add to the kernel's command line.
        one_thread: Whether QEMU before 8.1 runs all emulated processors in one thread, in turns.
            Side by side (false) they are faster on a host with several CPUs, and more races
            show; but such a QEMU then runs stale code now and then, and the guest hangs
            (guest/single_thread_qemu.py). No effect with KVM or with a later QEMU.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    image: str | ImageChange = "debian-12"
    kernel: str = "6.1"
    arch: str = "x86_64"
    memory_mib: int = 768
    vcpus: int = 2
    cpu: str = ""
    numa: int = 1
    disks_mib: tuple[int, ...] = ()
    nics: tuple[str, ...] = ()
    pci: tuple[str, ...] = ()
    qemu: tuple[str, ...] = ()
    cmdline: str = ""
    one_thread: bool = True

    @property
    def can_be_saved(self) -> bool:
        """Whether a guest of this target is saved after its boot, so that later runs restore it.

        It is not when the target has devices of the host (`pci`), or any further arguments for
        QEMU (`qemu`): QEMU saves some device models wrongly and reports no error. For example, its
        model `edu` is restored without its registers.
        """
        return not self.pci and not self.qemu


@dataclass(frozen=True, kw_only=True)
class MachineChange:
    """What the command line changes in a target's machine: CPUs, memory, kernel arguments.

    None and "" change nothing.
    """

    vcpus: int | None = None
    memory_mib: int | None = None
    append: str = ""

    def applied(self, target: TargetSpec) -> TargetSpec:
        """Return the target with these changes to its machine."""
        return replace(
            target,
            vcpus=target.vcpus if self.vcpus is None else self.vcpus,
            memory_mib=target.memory_mib if self.memory_mib is None else self.memory_mib,
            cmdline=f"{target.cmdline} {self.append}".strip(),
        )

    def described(self) -> str:
        """Return the changes as the options of the command line, "" for none."""
        words = [f"--cpus={self.vcpus}"] if self.vcpus is not None else []
        words += [f"--memory={self.memory_mib}"] if self.memory_mib is not None else []
        words += [f"--append={self.append}"] if self.append else []
        return " ".join(words)


# The least and the most of each number of a machine and of an image. The essential packages of
# Debian need more than the least size of an image.
RANGES = {
    "vcpus": (1, 64),
    "memory_mib": (256, 1024 * 1024),
    "numa": (1, 8),
    "disks_mib": (1, 16 * 1024 * 1024),
    "size_mib": (64, 1024 * 1024),
}
_ARCH = "x86_64"
# libvirt's names of disks end at vdz; the first three have other uses.
_MOST_DISKS = 16
# They have the slots 0x11 to 0x18 of the root bus; see guest/domain_xml.py.
_MOST_NICS = 8
_PCI = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_WORD = re.compile(r"[A-Za-z0-9_.+-]+")
# Arguments of QEMU for which a key exists, or which the harness itself uses.
_TAKEN = {
    "-m": "memory_mib",
    "-smp": "vcpus",
    "-cpu": "cpu",
    "-numa": "numa",
    "-append": "cmdline",
    "-kernel": "kernel",
    "-initrd": "kernel",
    "-machine": "arch",
    "-M": "arch",
}


def out_of_range(name: str, value: int) -> str:
    """Return why a number in the configuration of a machine or image is not allowed, "" if it is.

    `name` is the key, such as vcpus.
    """
    least, most = RANGES[name]
    return "" if least <= value <= most else f"{value} is not from {least} to {most}"


def wrong_key(target: TargetSpec) -> tuple[str, str] | None:
    """Return the first key of a target whose value cannot work, and the reason, or None."""
    numbers = [(name, getattr(target, name)) for name in ("vcpus", "memory_mib", "numa")]
    numbers += [("disks_mib", size) for size in target.disks_mib]
    problems = [(name, out_of_range(name, value)) for name, value in numbers]
    if target.arch != _ARCH:
        problems.append(("arch", f"{target.arch!r} is not {_ARCH}, the only one that boots"))
    if target.numa > target.vcpus:
        problems.append(("numa", f"{target.numa} nodes need as many vcpus"))
    if len(target.disks_mib) > _MOST_DISKS:
        problems.append(("disks_mib", f"at most {_MOST_DISKS} disks are possible"))
    if len(target.nics) > _MOST_NICS:
        problems.append(("nics", f"at most {_MOST_NICS} cards are possible"))
    words = [("cpu", target.cpu)] if target.cpu else []
    words += [("nics", name) for name in target.nics]
    problems += [(key, f"{word!r} is no name") for key, word in words if not _WORD.fullmatch(word)]
    problems += [
        ("pci", f"{address!r} is not of the form 0000:03:00.0")
        for address in target.pci
        if not _PCI.fullmatch(address)
    ]
    problems += [
        ("qemu", f"the key {_TAKEN[word]} is there for {word}")
        for word in target.qemu
        if word in _TAKEN
    ]
    if target.qemu and not target.qemu[0].startswith("-"):
        problems.append(("qemu", "the first argument begins with -"))
    return next((problem for problem in problems if problem[1]), None)
