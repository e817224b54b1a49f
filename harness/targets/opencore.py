# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read and change OpenCore's config.plist: SIP's flags, and the boot arguments. Pure.

OpenCore writes both into the NVRAM at each boot. So a change of this file while a guest is
off takes effect at its next boot, and macOS Recovery need not be started for it. Source:
OpenCore's Configuration.pdf, section NVRAM.
"""

import plistlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.parsers.expat import ExpatError

from harness.errors import UsageError
from harness.systems.macos import boot_args, system

# xnu's csr_config_t has 32 bits.
_FLAGS_BYTES = 4
# Apple's firmware keeps boot-args and csr-active-config under this GUID.
_APPLE = "7C436110-AB2A-4BBB-A880-FE41995C9F82"
CONFIG = "EFI/OC/config.plist"
# The flags that kexts under test and their debuggers need, and no others.
KEXT_FLAGS = (
    system.CSR_UNTRUSTED_KEXTS
    | system.CSR_KERNEL_DEBUGGER
    | system.CSR_UNRESTRICTED_NVRAM
    | system.CSR_UNAPPROVED_KEXTS
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What OpenCore's config.plist says about kexts: SIP's flags (csr) and the boot arguments."""

    csr: int
    boot_args: str


def read(data: bytes) -> Settings:
    """Return the settings in a config.plist.

    Raises: UsageError when the file is not one of OpenCore's.
    """
    found, _ = _variables(_parse(data))
    flags = found.get("csr-active-config", b"")
    if not isinstance(flags, bytes) or len(flags) > _FLAGS_BYTES:
        raise UsageError(f"config.plist: csr-active-config is not {_FLAGS_BYTES} bytes of data")
    return Settings(csr=int.from_bytes(flags, "little"), boot_args=str(found.get("boot-args", "")))


def with_settings(data: bytes, wanted: Settings) -> bytes:
    """Return a config.plist with these settings and everything else unchanged.

    OpenCore does not change a variable that already exists unless NVRAM/Delete names it, so both
    the value and that entry are set.
    Raises: UsageError when the file is not one of OpenCore's.
    """
    plist = _parse(data)
    found, deleted = _variables(plist)
    found["csr-active-config"] = wanted.csr.to_bytes(_FLAGS_BYTES, "little")
    found["boot-args"] = wanted.boot_args
    deleted += [name for name in ("csr-active-config", "boot-args") if name not in deleted]
    return plistlib.dumps(plist, sort_keys=False)


def for_kexts(before: Settings, *, debug: Sequence[str] = ()) -> Settings:
    """Return the settings `before`, changed so that unsigned kexts load.

    `debug` are boot arguments to add.
    """
    words, _ = boot_args.merge(before.boot_args, debug)
    return Settings(csr=before.csr | KEXT_FLAGS, boot_args=words)


def _parse(data: bytes) -> dict[str, Any]:
    try:
        found = plistlib.loads(data)
    except (plistlib.InvalidFileException, ExpatError, ValueError) as error:
        raise UsageError(f"config.plist cannot be read: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("NVRAM"), dict):
        raise UsageError("this config.plist is not OpenCore's: it has no NVRAM section")
    return found


def _variables(plist: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Return Apple's NVRAM variables that a config.plist sets, and the names that it deletes.

    Both are the file's own objects, so a change of them changes `plist`.
    Raises: UsageError when the file has something else in their places.
    """
    added = plist["NVRAM"].setdefault("Add", {})
    deleted = plist["NVRAM"].setdefault("Delete", {})
    if isinstance(added, dict) and isinstance(deleted, dict):
        found, names = added.setdefault(_APPLE, {}), deleted.setdefault(_APPLE, [])
        if isinstance(found, dict) and isinstance(names, list):
            return found, names
    raise UsageError("this config.plist is not OpenCore's: its NVRAM has no Add or no Delete")
