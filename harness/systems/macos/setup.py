# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Prepare a Mac for kexts and debuggers, and read the panics that it saved.

`systems.linux.setup` does the same for Linux. A change that a release does not allow from a
running system is reported and not attempted. Every change is recorded on the target first, so that
it can be undone. Not verified on hardware.
"""

import zlib
from collections.abc import Sequence

from harness.errors import GuestLost, TargetNotReady
from harness.model.requirement import CrashLog, Requirement
from harness.systems.macos import boot_args, panic_store, rules, system
from harness.systems.macos.system import MacSystem
from harness.systems.shell import Completed, Shell, as_root, words_of

_STEP_S = 30.0
# Long, because system_profiler and csrutil start daemons of their own.
_SLOW_S = 60.0
_NOTES = "/var/db/harness-{purpose}.json"
_NO_DEBUGGER = (
    "System Integrity Protection has to allow the kernel debugger, or debug boot arguments are "
    "ignored. In Recovery, Terminal: csrutil enable --without kext (Apple silicon: disable)"
)


def examine(shell: Shell) -> MacSystem:
    """Return the Mac's release, processor and security settings.

    Raises: UsageError when the system is not a Mac; GuestLost.
    """
    arch = words_of(shell, ["uname", "-m"], deadline_s=_STEP_S).strip()
    release = words_of(shell, ["sw_vers", "-productVersion"], deadline_s=_STEP_S)
    policy = ""
    if arch == "arm64":
        command = ["system_profiler", "SPiBridgeDataType"]
        policy = words_of(shell, command, deadline_s=_SLOW_S)
    return MacSystem(
        version=system.parse_version(release),
        build=words_of(shell, ["sw_vers", "-buildVersion"], deadline_s=_STEP_S).strip(),
        arch=arch,
        virtual=_is_virtual(shell),
        csr=system.parse_csr(
            words_of(shell, ["csrutil", "status"], deadline_s=_SLOW_S),
            words_of(shell, ["nvram", "csr-active-config"], deadline_s=_STEP_S),
        ),
        boot_args=_boot_args(shell),
        consent=system.parse_consent(
            words_of(shell, ["spctl", "kext-consent", "status"], deadline_s=_SLOW_S)
        ),
        kexts_allowed=system.parse_boot_policy(policy),
    )


def requirements(shell: Shell, *, signed: bool) -> tuple[Requirement, ...]:
    """Return what this Mac has to have or allow before a kext loads, and what of it is met."""
    return rules.requirements(examine(shell), signed=signed)


def allow(shell: Shell, *, signed: bool) -> tuple[str, ...]:
    """Set the boot arguments that let unsigned kexts load, where the release allows it.

    Return what was done, () when the release allows no such change or none is necessary.
    Raises: TargetNotReady when the system refuses to change its boot arguments.
    """
    found = examine(shell)
    wanted = rules.doable_now(found, signed=signed)
    if not wanted:
        return ()
    return (*_change(shell, "deps", wanted), rules.LOWERS_SECURITY)


def disallow(shell: Shell) -> tuple[str, ...]:
    """Undo the changes of `allow`; return one line with the boot arguments before and after.

    If nothing was changed on this Mac, the line says so.
    """
    return _take_back(shell, "deps")


def configure_for_debug(shell: Shell, *, link: str) -> tuple[str, ...]:
    """Set the boot arguments for debugging the kernel; they take effect after a restart.

    Return the change, and a line about the Kernel Debug Kit. `link` is the device on which KDP
    listens: an interface, 'serial', '' for a hypervisor's stub.
    Raises: TargetNotReady when this system would ignore them, or refuses to change them.
    """
    found = examine(shell)
    if not found.may_debug_kernel:
        raise TargetNotReady("the target's kernel takes no debugger", hint=_NO_DEBUGGER)
    wanted = boot_args.for_debugging(arch=found.arch, link=link)
    return (*_change(shell, "debug", wanted), *_symbols(shell, found))


def unconfigure(shell: Shell) -> tuple[str, ...]:
    """Undo the changes of `configure_for_debug`; return one line with the boot arguments.

    The line has them before and after. If nothing was changed on this Mac, it says so.
    """
    return _take_back(shell, "debug")


def not_in_force(shell: Shell, *, link: str) -> tuple[str, ...]:
    """Return the boot arguments for debugging that are missing in the running kernel.

    The result is () when it has all of them. `link` is as in `configure_for_debug`.
    """
    arch = words_of(shell, ["uname", "-m"], deadline_s=_STEP_S).strip()
    running = shell.run(["sysctl", "-n", "kern.bootargs"], deadline_s=_STEP_S).stdout.split()
    wanted = boot_args.for_debugging(arch=arch, link=link)
    return tuple(word for word in wanted if word not in running)


def boot_session(shell: Shell) -> str:
    """Return an id that is another one after each boot of the system (xnu, kern_sysctl.c)."""
    return shell.run(["sysctl", "-n", "kern.bootsessionuuid"], deadline_s=_STEP_S).stdout.strip()


def restart(shell: Shell) -> None:
    """Restart the system. The connection breaks meanwhile, which is not an error."""
    try:
        as_root(shell, ["shutdown", "-r", "now"], deadline_s=_STEP_S)
    except GuestLost:
        return


def panic_reports(shell: Shell) -> tuple[str, ...]:
    """Return the names of the panic reports that the system has saved.

    A panic that is still in NVRAM gets a name that is computed from its text.
    """
    said = as_root(shell, ["ls", "-1", panic_store.FOLDER], deadline_s=_STEP_S, check=False)
    kept = _in_nvram(shell)
    return (
        *panic_store.panic_files(said.stdout.splitlines()),
        *((kept.name,) if kept is not None else ()),
    )


def crash_logs(shell: Shell, *, known: Sequence[str] = ()) -> tuple[CrashLog, ...]:
    """Return name and text of each saved panic whose name is not in `known`.

    A panic in NVRAM is included until the system has written a file of it.
    """
    said = as_root(shell, ["ls", "-1", panic_store.FOLDER], deadline_s=_STEP_S, check=False)
    found = [
        CrashLog(name=name, text=_read(shell, f"{panic_store.FOLDER}/{name}"))
        for name in panic_store.panic_files(said.stdout.splitlines())
        if name not in known
    ]
    kept = _in_nvram(shell)
    if kept is not None and kept.name not in known:
        first = kept.text.splitlines()[0]
        found += [] if any(first in log.text for log in found) else [kept]
    return tuple(found)


def _in_nvram(shell: Shell) -> CrashLog | None:
    listing = as_root(shell, ["nvram", "-p"], deadline_s=_STEP_S, check=False).stdout
    text = panic_store.from_nvram(listing)
    if not text:
        return None
    return CrashLog(name=f"nvram-{zlib.crc32(text.encode()):08x}", text=text)


def _read(shell: Shell, file: str) -> str:
    return as_root(shell, ["cat", file], deadline_s=_STEP_S).stdout


def _is_virtual(shell: Shell) -> bool:
    """Return whether this Mac is virtual: Apple silicon has a sysctl for it, Intel a CPU flag."""
    command = ["sysctl", "-n", "kern.hv_vmm_present", "machdep.cpu.features"]
    said = words_of(shell, command, deadline_s=_STEP_S).split()
    return said[:1] == ["1"] or "VMM" in said


def _boot_args(shell: Shell) -> str:
    return system.parse_nvram(words_of(shell, ["nvram", "boot-args"], deadline_s=_STEP_S))


def _change(shell: Shell, purpose: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """Add boot arguments, after saving on the target what is changed; return what was done.

    `purpose` names the record, with which `disallow` or `unconfigure` undoes the change.
    """
    notes = _NOTES.format(purpose=purpose)
    before = _boot_args(shell)
    after, change = boot_args.merge(before, wanted)
    if not change.added:
        return (f"boot-args has it already: {before}",)
    noted = as_root(shell, ["cat", notes], deadline_s=_STEP_S, check=False)
    if noted.status == 0:
        # Words of an earlier call were also added by the harness, so undoing restores the words
        # before that call.
        first = boot_args.read_change(noted.stdout)
        change = boot_args.Change(
            added=(*first.added, *change.added),
            replaced=(*first.replaced, *(w for w in change.replaced if w not in first.added)),
        )
    as_root(shell, ["tee", notes], deadline_s=_STEP_S, data=change.text().encode())
    _set_boot_args(shell, after)
    return (f"boot-args: '{before}' -> '{after}'; it takes a restart, --undo takes it back",)


def _take_back(shell: Shell, purpose: str) -> tuple[str, ...]:
    notes = _NOTES.format(purpose=purpose)
    noted = as_root(shell, ["cat", notes], deadline_s=_STEP_S, check=False)
    if noted.status != 0:
        return ("nothing to undo: nothing was changed here",)
    before = _boot_args(shell)
    after = boot_args.revert(before, boot_args.read_change(noted.stdout))
    _set_boot_args(shell, after)
    as_root(shell, ["rm", "-f", notes], deadline_s=_STEP_S)
    return (f"boot-args: '{before}' -> '{after}'; it takes a restart",)


def _set_boot_args(shell: Shell, value: str) -> None:
    words = ["nvram", f"boot-args={value}"] if value else ["nvram", "-d", "boot-args"]
    done = as_root(shell, words, deadline_s=_STEP_S, check=False)
    # Nobody has verified on hardware what the status of nvram says, so the value is read back.
    if done.status != 0 or _boot_args(shell) != value:
        raise _protection_error(done)


def _protection_error(done: Completed) -> TargetNotReady:
    return TargetNotReady(
        "the target's boot arguments cannot be set",
        hint="System Integrity Protection guards the NVRAM: in Recovery, Terminal: csrutil enable "
        "--without nvram (Apple silicon: csrutil disable); an OpenCore disk is edited offline",
        evidence=(done.stdout + done.stderr).splitlines(),
    )


def _symbols(shell: Shell, found: MacSystem) -> tuple[str, ...]:
    """Return a line that says whether the Kernel Debug Kit of the build is on the target."""
    folder = "/Library/Developer/KDKs"
    names = words_of(shell, ["ls", "-1", folder], deadline_s=_STEP_S).splitlines()
    fitting = [name for name in names if name.endswith(f"_{found.build}.kdk")]
    if fitting:
        return (f"KDK of this build: {folder}/{fitting[0]}",)
    return (f"no KDK of build {found.build} on the target: a debugger shows addresses only",)
