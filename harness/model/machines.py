# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The images, kernels and targets of the configuration, as values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

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
    """A kernel: a Debian package or your own kernel. Exactly one of the first four keys is set.

    Attributes:
        package: The package linux-image-... that holds the kernel, or depends on it.
        tree: A built kernel tree. Modules are built against it where it lies.
        files: Packages on the host, .deb or .rpm: image, modules, and headers to build against.
        image: A bzImage without modules. What a guest needs to boot must be built in.
        build: Run make in `tree` before it is used.
        suite: The Debian suite to take it from, trixie for example, when it is not the host's own.
            The host's own apt fetches it.
        cc: The compiler of modules for it, gcc-13 for example, when it is not the kernel's own.
        one_thread: The same as `one_thread` of a target, for every target with this kernel.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    package: str = ""
    tree: Path | None = None
    files: tuple[Path, ...] = ()
    image: Path | None = None
    build: bool = False
    suite: str = ""
    cc: str = ""
    one_thread: bool = False


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
        cmdline: Words to add to the kernel's command line.
        one_thread: Run all emulated processors in one thread of QEMU, in turns, instead of side
            by side. This avoids a fault of QEMU before 8.1 (guest/single_thread_qemu.py). Long
            runs always do so.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    image: str | ImageChange = "debian-12"
    kernel: str = "6.1"
    arch: str = "x86_64"
    memory_mib: int = 768
    vcpus: int = 2
    cmdline: str = ""
    one_thread: bool = False
