# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""List the requirements of a Linux system for loading an out-of-tree module. Pure.

Sources: kernel/module/signing.c and main.c (sig_enforce, modules_disabled),
security/lockdown/lockdown.c, Documentation/admin-guide/module-signing.rst.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness import hints
from harness.model.requirement import Requirement, State, Who

# The EFI variable's five bytes: attributes, then 1 for 'on' (UEFI specification, 3.3).
SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_SIGNING = (
    f"sign the module ({hints.command('packages')}), or enrol its key: mokutil --import KEY.der"
)


@dataclass(frozen=True, kw_only=True)
class LinuxSystem:
    """The settings of a running Linux that affect the loading of modules.

    `lockdown` is the level in force, "" without lockdown. `secure_boot` is None without UEFI.
    """

    release: str
    lockdown: str
    secure_boot: bool | None
    enforces_signatures: bool
    modules_disabled: bool
    headers: bool
    compiler: bool


def parse_lockdown(text: str) -> str:
    """Return the level in brackets of /sys/kernel/security/lockdown; "" when there is none."""
    found = re.search(r"\[(\w+)\]", text)
    return found[1] if found is not None else ""


def parse_secure_boot(dump: str) -> bool | None:
    """Return the value of the EFI variable SecureBoot in od's output, None for other text."""
    numbers = [int(word) for word in dump.split() if word.isdigit()]
    return bool(numbers[-1]) if len(numbers) == 5 else None


def requirements(system: LinuxSystem, *, signed: bool) -> tuple[Requirement, ...]:
    """Return what this system has to have or allow before an out-of-tree module loads.

    Each one says whether it is met. `signed` means that the module is signed.
    """
    return (
        *_loading(system, signed=signed),
        _need(
            system.headers,
            f"the headers of {system.release} are there",
            Who.RUNNING,
            f"install linux-headers-{system.release} (--apply does, on Debian)",
        ),
        _need(system.compiler, "make and gcc are there", Who.RUNNING, "install make and gcc"),
    )


def _loading(system: LinuxSystem, *, signed: bool) -> Iterator[Requirement]:
    yield _need(
        not system.modules_disabled,
        "modules may be loaded (kernel.modules_disabled is 0)",
        Who.RECOVERY,
        "it cannot be switched back: restart without what sets it (sysctl.d, a boot argument)",
    )
    free = system.lockdown in {"", "none"}
    yield _need(
        free or signed,
        f"lockdown lets the module in (it is '{system.lockdown or 'not built in'}')",
        Who.RECOVERY,
        f"{_SIGNING}; lockdown comes with Secure Boot or the boot argument lockdown=",
    )
    yield _need(
        signed or not system.enforces_signatures,
        "unsigned modules load (module.sig_enforce is off)",
        Who.RECOVERY,
        f"{_SIGNING}; or restart without module.sig_enforce=1",
    )
    boot = {True: "on", False: "off", None: "not there"}[system.secure_boot]
    yield Requirement(
        what=f"Secure Boot is {boot}",
        state=State.UNKNOWN if system.secure_boot and not signed else State.MET,
        who=Who.RECOVERY,
        cure="with it most distributions lock the kernel down; mokutil --disable-validation, or "
        f"{_SIGNING}",
    )


def _need(holds: bool, what: str, who: Who, cure: str) -> Requirement:  # noqa: FBT001
    return Requirement(what=what, state=State.MET if holds else State.UNMET, who=who, cure=cure)
