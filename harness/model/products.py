# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a project builds besides its module, from the configuration: variants, packages, a kext."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

# As in `settings`, a key that is not a field is an error.
_STRICT: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class VariantSpec:
    """Another build of the same source under a name of its own, for example a test build.

    It is built and pushed beside the module, and loaded by the tests that ask for it.

    Attributes:
        name: The name of the built module, without .ko.
        variables: Variables for make, on top of the module's own.
        parameters: Parameters for insmod. The module's own are not used.
        devices: Device nodes that must appear after loading.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str
    variables: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PackagesSpec:
    """What a release contains and what it must not contain; `invoke packages` makes it.

    Attributes:
        name: The name of the packages.
        maintainer: The maintainer, as Debian writes it: "NAME <ADDRESS>".
        debian: The folder with debhelper's files. Its file control.module is a stanza that is
            repeated for each kernel.
        rpm: The spec file of the rpm packages.
        sources: Files and folders of the project that go into the source package.
        without: Patterns of files in `sources` that stay out, because only tests need them.
        kernels: The kernels that modules are built for, names in `kernels`.
        forbidden: Words that no binary of a release may hold, because only a test build has them.
            Other files, such as the source, may hold them.
        abi_stamp: The name of the MODULE_INFO field that holds the ABI's number.
        stamped: Patterns of the files that must hold `abi_stamp`.
        abi_test_bit: The bit of the ABI's number that only a test build sets.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str
    maintainer: str
    debian: Path
    rpm: Path | None = None
    sources: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    abi_stamp: str = ""
    stamped: tuple[str, ...] = ("*.ko",)
    abi_test_bit: int = 0


@dataclass(frozen=True, kw_only=True)
class KextSpec:
    """The module's kernel extension for macOS, built when `target` is given to --target.

    Attributes:
        plist: The Info.plist, relative to `root`.
        sources: Patterns of C files relative to `root`, in the order in which they are linked.
        includes: Folders for the compiler, relative to `root`.
        kpi: The folder of declarations that replaces Apple's SDK, relative to `root`.
        target: The name that builds the kext when it is given to --target.
        macos: The first release that the kext claims to run on.
        last: The last release that the kext claims to run on.
        root: The folder that the paths above are relative to. It is itself relative to the
            project.
        project: The project's folder. No key: `config` sets it.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    plist: Path
    sources: tuple[str, ...]
    includes: tuple[Path, ...]
    kpi: Path
    target: str = "macos"
    macos: str = "10.10"
    last: str = "15"
    root: Path = Path()
    project: Path = Path()
