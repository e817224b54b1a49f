# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What tests run on, as the configuration has it: images, kernels, targets."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

# As in `settings`: a key that is not a field is an error.
_STRICT: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """One vm-images/<name>.toml: what the root file system is made of.

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
class KernelSpec:
    """A kernel by the name of the distribution's meta or versioned package (linux-image-...).

    Attributes:
        package: The package that holds the kernel, or depends on it.
        suite: The Debian suite to take it from, trixie for example, when it is not the host's own.
            The host's apt fetches it all the same.
        one_thread: As `one_thread` of a target.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    package: str
    suite: str = ""
    one_thread: bool = False


@dataclass(frozen=True, kw_only=True)
class TargetSpec:
    """What is tested on: one image, one kernel, one size of machine.

    Attributes:
        image: The image, a file NAME.toml in the folder `images`.
        kernel: The kernel, a name in `kernels`.
        arch: The architecture of the machine.
        memory_mib: The guest's memory in MiB.
        vcpus: The number of the guest's processors.
        cmdline: Words to add to the kernel's command line.
        one_thread: Let emulated processors take turns in one thread of QEMU, instead of running
            side by side, where that QEMU would run stale code (guest/single_thread_qemu.py).
            Every long run does so.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    image: str
    kernel: str
    arch: str = "x86_64"
    memory_mib: int = 768
    vcpus: int = 2
    cmdline: str = ""
    one_thread: bool = False
