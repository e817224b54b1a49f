# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A Mac's release, processor and security settings as one value. Pure.

Parsed from the output of sw_vers, uname, csrutil, nvram, spctl, sysctl and system_profiler.
Sources: xnu bsd/sys/csr.h for the flags; the tools' own manual pages for their output.
"""

import re
from dataclasses import dataclass

from harness.errors import UsageError

# Flags of xnu, bsd/sys/csr.h: the actions that System Integrity Protection allows.
CSR_UNTRUSTED_KEXTS = 1 << 0
CSR_UNRESTRICTED_FS = 1 << 1
CSR_TASK_FOR_PID = 1 << 2
CSR_KERNEL_DEBUGGER = 1 << 3
CSR_APPLE_INTERNAL = 1 << 4
CSR_UNRESTRICTED_DTRACE = 1 << 5
CSR_UNRESTRICTED_NVRAM = 1 << 6
CSR_UNAPPROVED_KEXTS = 1 << 9
# The flags that `csrutil disable` has set in every release since 10.11 (later ones set more).
_CSR_DISABLED = 0x77
# The flags by the lines of `csrutil status` in a custom configuration.
_CSR_LINES = {
    "Apple Internal": CSR_APPLE_INTERNAL,
    "Kext Signing": CSR_UNTRUSTED_KEXTS,
    "Filesystem Protections": CSR_UNRESTRICTED_FS,
    "Debugging Restrictions": CSR_TASK_FOR_PID,
    "DTrace Restrictions": CSR_UNRESTRICTED_DTRACE,
    "NVRAM Protections": CSR_UNRESTRICTED_NVRAM,
}
_PROVES_DEBUGGER = CSR_KERNEL_DEBUGGER | CSR_UNTRUSTED_KEXTS | CSR_APPLE_INTERNAL


@dataclass(frozen=True, kw_only=True)
class MacSystem:
    """The settings of one Mac, or of a guest that runs macOS.

    `csr` are the flags of allowed actions (0 when System Integrity Protection is fully on).
    `consent` is whether the user is asked before a third party's kext loads, None where that is
    unknown. `kexts_allowed` is the boot policy of Apple silicon, None where it is unknown, and
    elsewhere.
    """

    version: tuple[int, int]
    build: str
    arch: str
    virtual: bool
    csr: int
    boot_args: str
    consent: bool | None = None
    kexts_allowed: bool | None = None

    @property
    def release(self) -> str:
        """The release of macOS as it is usually written: 10.15, 13."""
        major, minor = self.version
        return f"10.{minor}" if major == 10 else str(major)

    @property
    def uses_kmutil(self) -> bool:
        """Whether kmutil loads kexts, from the auxiliary kernel collection: macOS 11 and later."""
        return self.version >= (11, 0)

    @property
    def may_debug_kernel(self) -> bool:
        """Whether the kernel honours boot arguments for debugging.

        Before 10.11 it always does. Later it does if SIP allows kernel debugging; xnu also accepts
        SIP's flags for unsigned kexts and for Apple's own systems (bsd/kern/kern_csr.c).
        """
        return self.version < (10, 11) or bool(self.csr & _PROVES_DEBUGGER)

    @property
    def unsigned_kexts(self) -> bool:
        """Whether a kext without a valid signature may load."""
        if self.version < (10, 11):
            return "kext-dev-mode=1" in self.boot_args.split()
        return bool(self.csr & CSR_UNTRUSTED_KEXTS)


def parse_version(text: str) -> tuple[int, int]:
    """Return major and minor from the output of sw_vers -productVersion.

    Raises: UsageError when the output is not a version.
    """
    found = re.match(r"^(\d+)(?:\.(\d+))?(?:\.\d+)*\s*$", text)
    if found is None:
        raise UsageError("the target does not say which macOS it runs", evidence=(text,))
    return int(found[1]), int(found[2] or 0)


def parse_csr(status: str, variable: str) -> int:
    """Return the flags of allowed actions, from csrutil and the variable csr-active-config.

    The variable has more flags, because csrutil prints no line for some. But csrutil decides which
    are in force: it reads the kernel, while the variable may take effect only after a reboot. OS X
    10.10 has neither.
    """
    text = status.lower()
    flags = parse_csr_variable(variable)
    if "custom configuration" in text:
        shown = sum(flag for name, flag in _CSR_LINES.items() if _is_off(status, name))
        unseen = ~sum(_CSR_LINES.values())
        return shown | (flags & unseen)
    if "status: disabled" in text:
        return _CSR_DISABLED | flags
    if "status: enabled" in text:
        return flags & CSR_UNAPPROVED_KEXTS
    return flags


def _is_off(status: str, name: str) -> bool:
    """Return whether csrutil's output says that a protection of SIP is off.

    For the name "Apple Internal" it returns whether that is on, because it allows more.
    """
    word = "enabled" if name == "Apple Internal" else "disabled"
    return re.search(rf"^\s*{name}:\s*{word}", status, re.MULTILINE) is not None


def parse_csr_variable(text: str) -> int:
    """Return the number in `nvram csr-active-config`, 0 without one.

    It has bytes, little endian, some of them as %xx.
    """
    _, tab, value = text.strip().partition("\t")
    if not tab:
        return 0
    data = bytes(
        int(hexadecimal, 16) if hexadecimal else ord(character)
        for hexadecimal, character in re.findall(r"%([0-9a-fA-F]{2})|(.)", value)
    )
    # The kernel's csr_config_t has 32 bits.
    return int.from_bytes(data[:4], "little")


def parse_nvram(text: str) -> str:
    """Return the value that `nvram NAME` prints after the tab; "" where there is none."""
    return text.partition("\t")[2].strip() if "\t" in text else ""


def parse_consent(text: str) -> bool | None:
    """Return whether `spctl kext-consent status` says that the user is asked; None if unknown."""
    found = re.search(r"User Consent: (ENABLED|DISABLED)", text)
    return None if found is None else found[1] == "ENABLED"


def parse_boot_policy(text: str) -> bool | None:
    """Return whether system_profiler's controller page allows third parties' kexts.

    The result is None when the page does not say.
    """
    found = re.search(r"^\s*Allow All Kernel Extensions: (Yes|No)", text, re.MULTILINE)
    return None if found is None else found[1] == "Yes"
