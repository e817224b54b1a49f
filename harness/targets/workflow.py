# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The steps of the documented workflow on a target that the user boots, one function each.

Every step uses SSH alone, except that an OpenCore disk is edited on this host. A restart drops the
connection and waits until the system is back in another boot session. When a person has to do
something at the target, the step ends in TargetNotReady, exit code 2, whose text says what to do.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import hints
from harness.errors import GuestCrashed, GuestLost, ModuleError, RestartNeeded, UsageError
from harness.model import requirement
from harness.model.loaded_module import LoadedModule
from harness.model.requirement import Requirement
from harness.model.settings import ModuleBuild, ModuleSpec, System
from harness.systems.macos import boot_args, bundle
from harness.systems.platforms import PLATFORMS, SETUPS
from harness.systems.shell import CommandFailed, Shell
from harness.targets import opencore_disk, power, target_file
from harness.targets.crash_logs import explain_logs
from harness.targets.target_file import Kind, RemoteSpec

Say = Callable[[str], None]
_CONNECT_S = 30.0
# While a target restarts, a try may hang on a connection that it has dropped; then try again.
_TRY_S = 15.0
_PAUSE_S = 0.5
_LOAD_S = 30.0
_ATTEMPTS = 5
# The words by which the set-up modules report a change that is not in force yet.
_LATER = "restart"
_LOWERS = "warning: this lowers the target's security; use a machine that holds nothing else"


@dataclass(frozen=True, kw_only=True)
class Loading:
    """A module's file (.kext, .ko), the target to load it on, and whether a restart is allowed."""

    target: RemoteSpec
    spec: ModuleSpec
    file: Path
    restart: bool = False

    @property
    def dsym(self) -> Path:
        """The path at which the build writes the debug information of a kext."""
        return self.file.with_name(f"{self.file.name}.dSYM")


def requirements(target: RemoteSpec) -> tuple[Requirement, ...]:
    """Return what a target has to have or allow before the module loads, and what of it is met."""
    with target_file.connect(target, deadline_s=_CONNECT_S) as guest:
        return SETUPS[target.system].requirements(guest, signed=target.signed)


def requirements_of(shell: Shell, system: System, *, signed: bool) -> tuple[Requirement, ...]:
    """Return what a system has to have or allow before the module loads, and what of it is met."""
    return SETUPS[system].requirements(shell, signed=signed)


def change_host(shell: Shell, system: System, *, undo: bool, signed: bool) -> tuple[str, ...]:
    """Change a running system so that modules load on it, as far as it allows, or undo that.

    Return what was done, () for nothing. `shell` runs commands on that system, such as this host.
    """
    setup = SETUPS[system]
    return setup.disallow(shell) if undo else setup.allow(shell, signed=signed)


def allow(target: RemoteSpec, say: Say) -> None:
    """Make the changes that let modules load: on an OpenCore disk, else in the running system.

    Raises: UsageError when the guest of the disk is on, or the disk has no OpenCore;
    TargetNotReady; GuestLost.
    """
    if _has_opencore(target):
        _while_off(target)
        words = boot_args.for_debugging(arch="x86_64", link=target.link)
        _all(opencore_disk.allow_kexts(target.libvirt.opencore, debug=words), say)
        say(_LOWERS)
        return
    with target_file.connect(target, deadline_s=_CONNECT_S) as guest:
        done = SETUPS[target.system].allow(guest, signed=target.signed)
    _all(done or ("nothing can be done from a running system",), say)


def disallow(target: RemoteSpec, say: Say) -> None:
    """Undo the changes of `allow` on a target, and report each of them.

    Raises: the errors of `allow`.
    """
    if _has_opencore(target):
        _while_off(target)
        _all(opencore_disk.undo(target.libvirt.opencore), say)
        return
    with target_file.connect(target, deadline_s=_CONNECT_S) as guest:
        _all(SETUPS[target.system].disallow(guest), say)


def load(asked: Loading, say: Say) -> LoadedModule:
    """Copy the module to a target and load it; `restart` allows a restart of the target.

    Raises: TargetNotReady, RestartNeeded, ModuleError and GuestHung from the platform;
    GuestCrashed when the target comes back from a panic; GuestLost when it does not come back.
    """
    target, platform = asked.target, PLATFORMS[asked.target.system]
    build = module_build(asked.file, asked.spec)
    try:
        with target_file.connect(target, deadline_s=_CONNECT_S) as guest:
            platform.push_modules(guest, [(build, asked.spec)], deadline_s=_LOAD_S)
            say(f"copied {asked.file.name} to {target.name}")
            return platform.load(guest, asked.spec, deadline_s=_LOAD_S)
    except RestartNeeded as error:
        if not asked.restart:
            raise
        say(f"{error.message}: restarting {target.name}")
    restart_target(target, say, dsym=asked.dsym)
    with target_file.connect(target, deadline_s=_CONNECT_S) as guest:
        return platform.load(guest, asked.spec, deadline_s=_LOAD_S)


def unload(target: RemoteSpec, spec: ModuleSpec) -> None:
    """Unload the module on a target, and try again while it is busy.

    Raises: RestartNeeded when its kernel cannot unload modules; ModuleError that names its users.
    """
    with target_file.connect(target, deadline_s=_CONNECT_S) as guest:
        PLATFORMS[target.system].unload(guest, spec, deadline_s=_LOAD_S, attempts=_ATTEMPTS)


def configure(target: RemoteSpec, say: Say, *, undo: bool, restart: bool) -> None:
    """Prepare a target's kernel for a debugger, or undo that; a restart activates the change.

    Raises: RestartNeeded when a restart is needed and not allowed; TargetNotReady when the system
        would ignore the settings; ModuleError when it has ignored them; the errors of
        `restart_target`.
    """
    setup = SETUPS[target.system]
    with target_file.connect(target, deadline_s=_CONNECT_S) as guest:
        if undo:
            said = setup.unconfigure(guest)
            waiting = any(_LATER in line for line in said)
        else:
            said = setup.configure_for_debug(guest, link=target.link)
            waiting = bool(setup.not_in_force(guest, link=target.link))
        _all(said, say)
    if not waiting:
        say("nothing waits for a restart")
        return
    if not restart:
        raise RestartNeeded("it is in force after a restart", hint="--reboot does it and waits")
    restart_target(target, say)
    if not undo:
        _check_in_force(target, say)


def _check_in_force(target: RemoteSpec, say: Say) -> None:
    with target_file.connect(target, deadline_s=_CONNECT_S) as guest:
        missing = SETUPS[target.system].not_in_force(guest, link=target.link)
    if missing:
        raise ModuleError(
            f"{target.name} was started without {' '.join(missing)}",
            hint="its boot loader or security policy takes them out: "
            f"{hints.command('kernel-deps', '--target', target.name)} says what it asks for",
        )
    say(f"{target.name} runs with all of it")


def restart_target(target: RemoteSpec, say: Say, *, dsym: Path | None = None) -> None:
    """Restart a target and wait until it is back.

    Raises: GuestCrashed when it comes back with a new panic report; GuestLost when it does not
    come back in time.
    """
    setup = SETUPS[target.system]
    with target_file.connect(target, deadline_s=_CONNECT_S) as guest:
        before = setup.boot_session(guest)
        known = setup.panic_reports(guest)
        setup.restart(guest)
    took_s = wait_for_another_session(target, before)
    say(f"{target.name} is back after {took_s:.0f} s")
    raise_new_panic(target, known, dsym=dsym)


def wait_for_another_session(target: RemoteSpec, before: str) -> float:
    """Wait until the target has another boot session, and return the seconds that took.

    Raises: GuestLost at the target's own deadline, `restart_s`.
    """
    begun = time.monotonic()
    end = begun + target.restart_s
    said = "it never went down"
    while (left := end - time.monotonic()) > 0:
        try:
            with target_file.connect(target, deadline_s=min(_TRY_S, left)) as guest:
                if SETUPS[target.system].boot_session(guest) != before:
                    return time.monotonic() - begun
        except (GuestLost, CommandFailed) as error:
            said = error.message
        time.sleep(_PAUSE_S)
    raise GuestLost(
        f"{target.name} is not back after {target.restart_s:.0f} s: {said}",
        hint="look at its screen: FileVault asks for a password before SSH is there; restart_s "
        "in the target's file is the limit",
    )


def raise_new_panic(target: RemoteSpec, known: Sequence[str], *, dsym: Path | None) -> None:
    """Check that the target has saved no panic report other than the known ones.

    Raises: GuestCrashed with the first new one, explained.
    """
    with target_file.connect(target, deadline_s=_CONNECT_S) as guest:
        logs = SETUPS[target.system].crash_logs(guest, known=known)
    for found in explain_logs(logs, system=target.system, dsym=dsym):
        raise GuestCrashed(
            f"{target.name}: {found.title}" + (f" at {found.place}" if found.place else ""),
            hint=f"{hints.command('panic-explain', 'FILE')} explains a report copied from there",
            evidence=found.text[:20],
        )


def module_build(file: Path, spec: ModuleSpec) -> ModuleBuild:
    """Return the value that stands for a built module, made from its file (.ko or .kext).

    Raises: UsageError when the file does not exist or is not a kext bundle.
    """
    if file.suffix == ".kext":
        info = bundle.info_of(file)
        release = info.version
    elif file.is_file():
        release = ""
    else:
        raise UsageError(
            f"no such module: {file}",
            hint=f"{hints.command('kernel-build', '--target', 'macos')} makes the kext; "
            "--file names another",
        )
    return ModuleBuild(
        name=spec.name,
        release=release,
        stripped=file,
        debug=file,
        build_id="",
        log=file,
        fresh=False,
    )


def lines(found: tuple[Requirement, ...]) -> tuple[str, ...]:
    """Return requirements as lines of text: whether each is met, and if not, what to do."""
    return tuple(line for one in found for line in requirement.lines(one))


def _has_opencore(target: RemoteSpec) -> bool:
    return target.type is Kind.LIBVIRT and target.system is System.MACOS


def _while_off(target: RemoteSpec) -> None:
    if power.of(target).is_on():
        raise UsageError(
            f"{target.name} is on: its OpenCore disk is edited while it is off",
            hint=hints.command("target-power", target.name, "--off"),
        )


def _all(said: Sequence[str], say: Say) -> None:
    for line in said:
        say(line)
