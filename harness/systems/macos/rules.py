# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""List the requirements of each release of macOS for loading a third-party kext. Pure.

A requirement is met, not met, or cannot be determined from outside. Each one names who can meet
it, because most of them cannot be met from a running system; where a release offers no way, the
text says so. Sources: Apple's System Integrity Protection guide and TN2459, the kernel extension
pages of the Apple Platform Deployment guide, xnu's csr.h.
"""

from collections.abc import Iterator

from harness import hints
from harness.model.requirement import Requirement, State, Who
from harness.systems.macos.boot_args import KEXT_DEV_MODE
from harness.systems.macos.system import MacSystem

OLDEST = (10, 10)
# Apple announced macOS 26 as the last release for Intel processors.
NEWEST_INTEL = 26
LOWERS_SECURITY = "it lowers the target's security: use a machine that holds nothing else"
_RECOVERY = "restart into Recovery (Intel: hold Cmd-R; Apple silicon: hold the power button)"


def requirements(system: MacSystem, *, signed: bool) -> tuple[Requirement, ...]:
    """Return what this Mac has to have or allow before a kext loads, and what of it is met.

    `signed` means that the kext has a signature that Apple accepts.
    """
    found = [*_release(system), *_platform(system)]
    if not signed:
        found += _signing_requirements(system)
    found += _approval(system)
    return tuple(found)


def doable_now(system: MacSystem, *, signed: bool) -> tuple[str, ...]:
    """Return the boot arguments that let an unsigned kext load and can be set without Recovery.

    The result is () when this release ignores them, or they are not needed.
    """
    if signed or system.version >= (10, 11) or system.unsigned_kexts:
        return ()
    return KEXT_DEV_MODE


def _release(system: MacSystem) -> Iterator[Requirement]:
    known = system.version >= OLDEST
    yield Requirement(
        what=f"macOS {system.release} ({system.build}, {system.arch}): its rules are known",
        state=State.MET if known else State.UNMET,
        who=Who.NOBODY,
        cure="" if known else "the oldest release that is known here is OS X 10.10",
    )
    if system.arch == "x86_64" and system.version[0] >= NEWEST_INTEL:
        yield Requirement(
            what="macOS 26 is the last release for Intel",
            state=State.MET,
            who=Who.NOBODY,
        )


def _platform(system: MacSystem) -> Iterator[Requirement]:
    if system.arch != "arm64":
        return
    if system.virtual:
        yield Requirement(
            what="third parties' kexts load here",
            state=State.UNMET,
            who=Who.NOBODY,
            cure="a guest on Apple silicon loads none: use a physical Mac, or an Intel guest",
        )
        return
    yield Requirement(
        what="the boot policy allows third parties' kexts (Reduced Security)",
        state=_state(system.kexts_allowed),
        who=Who.RECOVERY,
        cure=f"{_RECOVERY}, Startup Security Utility: Reduced Security, 'Allow user management "
        f"of kernel extensions from identified developers'; {LOWERS_SECURITY}",
    )


def _signing_requirements(system: MacSystem) -> Iterator[Requirement]:
    if system.version < (10, 11):
        yield Requirement(
            what="unsigned kexts load (boot argument kext-dev-mode=1)",
            state=State.MET if system.unsigned_kexts else State.UNMET,
            who=Who.RUNNING,
            cure=f"{hints.command('kernel-deps', '--target', 'NAME', '--apply')} sets it, "
            f"a restart makes it so; {LOWERS_SECURITY}",
        )
        return
    command = "csrutil enable --without kext" if system.arch == "x86_64" else "csrutil disable"
    yield Requirement(
        what="unsigned kexts load (System Integrity Protection without kext signing)",
        state=State.MET if system.unsigned_kexts else State.UNMET,
        who=Who.RECOVERY,
        cure=f"{_RECOVERY}, Terminal: {command}; with an OpenCore disk: "
        f"{hints.command('kernel-deps', '--target', 'NAME', '--apply')} does it offline; "
        f"kext-dev-mode=1 has no effect since 10.11; {LOWERS_SECURITY}",
    )


def _approval(system: MacSystem) -> Iterator[Requirement]:
    if system.version < (10, 13):
        return
    if system.uses_kmutil:
        yield Requirement(
            what="the user approves the kext, and a restart puts it into the auxiliary collection",
            state=State.UNKNOWN,
            who=Who.SETTINGS,
            cure="kernel-test-load says when; --reboot restarts and continues",
        )
        return
    asked = system.consent is not False and not system.unsigned_kexts
    yield Requirement(
        what="the user approves the kext (TN2459)",
        state=State.UNKNOWN if asked else State.MET,
        who=Who.SETTINGS,
        cure="System Preferences, Security & Privacy, within 30 minutes of the first attempt; or "
        f"{_RECOVERY}, Terminal: spctl kext-consent disable; {LOWERS_SECURITY}",
    )


def _state(known: bool | None) -> State:  # noqa: FBT001
    return {True: State.MET, False: State.UNMET, None: State.UNKNOWN}[known]
