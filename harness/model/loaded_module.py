# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The files of a built kernel module, and a loaded module, as values."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class ModuleFile:
    """One built .ko: the file without symbols that the guest gets, and the file with symbols."""

    name: str
    stripped: Path
    debug: Path


@dataclass(frozen=True, kw_only=True)
class LoadedModule:
    """A module that was loaded into the guest's kernel, and the addresses of its sections by name.

    `refused` are other modules of the same build that the kernel refused to load.
    """

    name: str
    sections: dict[str, int]
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModuleEntry:
    """One line of the kernel's list of modules (/proc/modules, kextstat).

    `used_by` are the names of other modules. `address` and `version` are those of a kext; the
    address is 0 when the system does not show it, and for Linux both are left out.
    """

    name: str
    size_bytes: int
    references: int
    used_by: tuple[str, ...] = ()
    address: int = 0
    version: str = ""
