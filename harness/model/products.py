# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a project delivers besides its module, as the configuration says it: packages, a kext."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

# As in `model`: a key that is not a field is an error.
_STRICT: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class PackagesSpec:
    """What a release is made of, and what must not be in it; `invoke packages` makes it.

    `sources` are places of the project, `without` patterns of what only tests need; `debian` is a
    folder of debhelper's, `rpm` a spec file. `kernels` are those that modules are built for.
    `forbidden`, `abi_stamp`, `stamped` and `abi_test_bit` tell a test build from a release: see
    harness/release/gate.py.
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
    """The macOS half of the module: what is built when `target` is asked for.

    `sources` are patterns below `root`, in the order they are linked; `kpi` is the folder of
    declarations that stands for the SDK; `macos` and `last` are the releases it claims.
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
