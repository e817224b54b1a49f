# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Work inside a macOS guest over SSH, as `systems.linux.kmod` does in a Linux guest.

A kext is copied to /Library/Extensions as root:wheel. kextload loads it, or from macOS 11 on
kmutil, which may ask for an approval and a restart first. macOS logs no fault that it survives: it
panics. So the final check looks at the boot session and at panic reports, not at log lines. Not
verified on hardware: no Mac has run this yet.
"""

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness import hints
from harness.errors import (
    GuestHung,
    GuestLost,
    ModuleError,
    RestartNeeded,
    TargetNotReady,
    UsageError,
)
from harness.model.loaded_module import LoadedModule, ModuleEntry
from harness.model.settings import ModuleBuild, ModuleSpec
from harness.systems.macos import (
    bundle,
    kext_list,
    kext_words,
    message_buffer,
    setup,
    system,
)
from harness.systems.macos.kext_words import LoadState, Said, UnloadState
from harness.systems.shell import CommandFailed, Completed, as_root
from harness.systems.ssh import Guest

_STEP_S = 30.0
_RETRY_S = 0.5
# kmutil builds and checks a collection of all third-party kexts, which takes long.
_TOOL_S = 180.0
# Every boot empties this folder, so a file in it was written in the present boot session.
_RUN = "/var/run"


def prepare(guest: Guest, *, run_id: str, canary: str) -> None:
    """Save which boot session and panic reports there are, and log that a run begins.

    The final log check compares them with those at the end. `canary` is a part of the file's name.
    The user's machine is not changed otherwise: no clock is set and no heartbeat is started.
    Raises: GuestLost, CommandFailed.
    """
    state = "\n".join([setup.boot_session(guest), *setup.panic_reports(guest)]) + "\n"
    as_root(guest, ["tee", _state_file(canary)], deadline_s=_STEP_S, data=state.encode())
    mark(guest, f"harness-canary {canary}: run {run_id} begins")


def quiesce(guest: Guest, *, deadline_s: float) -> None:
    """Wait until everything that was written is on the disk."""
    guest.run(["sync"], deadline_s=deadline_s)


def mount_share(guest: Guest, *, writable: bool) -> None:
    """Raise an error, because macOS has no way to mount a folder of the host.

    Raises: UsageError.
    """
    del writable
    raise UsageError(
        f"--share is for guests that the harness boots, and {guest.endpoint.host} is none",
        hint="copy with scp",
    )


def push_modules(
    guest: Guest, modules: Sequence[tuple[ModuleBuild, ModuleSpec]], *, deadline_s: float
) -> None:
    """Copy kext bundles to /Library/Extensions, owned by root:wheel and writable by root alone.

    The `push` entries of the configuration are skipped, because they are programs for Linux.
    Raises: UsageError when a build is not a kext bundle.
    """
    for build, spec in modules:
        bundle.info_of(build.stripped)
        path = _path(spec)
        data = bundle.archive(build.stripped, name=path.rpartition("/")[2])
        # Files that the new bundle no longer has must not stay.
        as_root(guest, ["rm", "-rf", path], deadline_s=_STEP_S)
        unpack = ["tar", "-x", "-f", "-", "-C", bundle.EXTENSIONS]
        as_root(guest, unpack, deadline_s=max(deadline_s, _TOOL_S), data=data)
        as_root(guest, ["chown", "-R", "root:wheel", path], deadline_s=_STEP_S)
        as_root(guest, ["chmod", "-R", "u=rwX,go=rX", path], deadline_s=_STEP_S)


def load(
    guest: Guest,
    spec: ModuleSpec,
    *,
    deadline_s: float,
    parameters: Mapping[str, str] | None = None,
) -> LoadedModule:
    """Load the kext and wait until its devices exist.

    Raises: UsageError for any `parameters`, since a kext takes none; TargetNotReady when the user
        has to approve it; RestartNeeded when it is loaded at the next boot; ModuleError with the
        messages of the tool and the kernel when it is refused or a device is missing; GuestHung
        when the tool does not return.
    """
    if parameters:
        raise UsageError("a kext takes no parameters", hint="build a variant instead")
    identifier, tools = _identifier(guest, spec), _tools(guest)
    before = kernel_log(guest)
    said, words = _try_to_load(guest, [*tools.load, _path(spec)], spec, deadline_s=deadline_s)
    entry = None
    if said.state is LoadState.LOADED:
        entry = _list_kexts(guest, tools).get(identifier)
        said = said if entry is not None else _not_in_the_list(tools)
    if entry is None:
        evidence = [*words.splitlines(), *_log_since(guest, before)]
        raise _refusal(spec, said, evidence)
    _await_devices(guest, spec, deadline_s=deadline_s, since=before)
    return LoadedModule(name=identifier, sections=_sections(entry))


def unload(guest: Guest, spec: ModuleSpec, *, deadline_s: float, attempts: int) -> None:
    """Unload the kext, and try again only while it is busy or the kernel still lists it.

    Raises: RestartNeeded at once when this kernel cannot unload kexts; ModuleError that names the
        kext's users, after the last attempt or at once when the kext is refused or not loaded;
        GuestHung when the tool does not return in time.
    """
    identifier, tools = _identifier(guest, spec), _tools(guest)
    said = Said(state=UnloadState.BUSY, reason="it was not tried")
    for attempt in range(attempts):
        if attempt:
            time.sleep(_RETRY_S)
        said = _try_to_unload(guest, [*tools.unload, identifier], deadline_s=deadline_s)
        if said.state is UnloadState.UNLOADED and identifier not in _list_kexts(guest, tools):
            return
        if said.state is UnloadState.NEEDS_REBOOT:
            raise RestartNeeded(
                f"{spec.name} cannot be unloaded: {said.reason}",
                hint=f"{said.hint}: sudo rm -r {_path(spec)}",
            )
        if said.state not in {UnloadState.BUSY, UnloadState.UNLOADED}:
            break
    tries = f" after {attempts} attempts" if said.state is UnloadState.BUSY else ""
    raise ModuleError(
        f"{spec.name} does not unload{tries}: {said.reason or 'the kernel still lists it'}",
        hint=said.hint
        or f"end its users, then {hints.command('kernel-test-unload', '--target', 'NAME')}",
        evidence=holders(guest, spec),
    )


def is_loaded(guest: Guest, spec: ModuleSpec) -> bool:
    """Return whether the kext is loaded; False if its bundle does not exist."""
    try:
        return _identifier(guest, spec) in _list_kexts(guest, _tools(guest))
    except ModuleError:
        return False


def holders(guest: Guest, spec: ModuleSpec) -> tuple[str, ...]:
    """Return what keeps a kext loaded: its reference count, kexts, open files.

    For a kext that is not loaded, one line says so.
    Raises: ModuleError when its bundle is not installed.
    """
    entry = _list_kexts(guest, _tools(guest)).get(_identifier(guest, spec))
    if entry is None:
        return (f"{spec.name} is not loaded",)
    found = [f"reference count {entry.references}"]
    found += [f"used by kext {name}" for name in entry.used_by]
    if spec.devices:
        said = as_root(
            guest, ["lsof", "-F", "pc", *spec.devices], deadline_s=_STEP_S, check=False
        ).stdout
        # lsof prints a line pPID and a line cNAME for a process, then a line for each of its
        # files.
        fields = [line for line in said.splitlines() if line[:1] in {"p", "c"}]
        for pid, name in zip(fields[::2], fields[1::2], strict=False):
            found.append(f"open in process {pid[1:]} {name[1:]}")
    return tuple(found)


def mark(guest: Guest, text: str) -> None:
    """Write the line `text` into the system's log."""
    guest.run(["logger", "-t", "harness", text], deadline_s=_STEP_S)


def kernel_log(guest: Guest) -> tuple[str, ...]:
    """Return the lines of the kernel's message buffer."""
    said = as_root(guest, ["dmesg"], deadline_s=_STEP_S, check=False).stdout
    return tuple(said.splitlines())


def last_word(guest: Guest, token: str, *, allow: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what speaks against a clean run since `prepare`: a restart, a new panic report.

    () means that there is none. `allow` is ignored: a macOS kernel does not survive the faults
    that it reports.
    """
    del allow
    noted = as_root(guest, ["cat", _state_file(token)], deadline_s=_STEP_S, check=False)
    session, *panics = noted.stdout.splitlines() or [""]
    if noted.status != 0 or session != setup.boot_session(guest):
        return ("the system has been restarted since the run began",)
    fresh = [name for name in setup.panic_reports(guest) if name not in panics]
    if fresh:
        return tuple(f"a panic report appeared: {name}" for name in fresh)
    mark(guest, f"harness-last-word {token}")
    as_root(guest, ["rm", "-f", _state_file(token)], deadline_s=_STEP_S)
    return ()


def parse_modules(text: str) -> dict[str, ModuleEntry]:
    """Return the loaded kexts in the output of kextstat or `kmutil showloaded`, by identifier."""
    return kext_list.parse(text)


def sections(guest: Guest, name: str) -> dict[str, int]:
    """Return the address of a loaded kext's __TEXT; `name` is the kext's identifier.

    Shape: {"__TEXT": address}, or {} when the kext is not loaded or the kernel shows no addresses.
    """
    entry = _list_kexts(guest, _tools(guest)).get(name)
    return _sections(entry) if entry is not None else {}


def _state_file(token: str) -> str:
    return f"{_RUN}/harness-{token}"


def _path(spec: ModuleSpec) -> str:
    return f"{bundle.EXTENSIONS}/{spec.name}.kext"


def _identifier(guest: Guest, spec: ModuleSpec) -> str:
    file = f"{_path(spec)}/Contents/Info.plist"
    try:
        text = as_root(guest, ["cat", file], deadline_s=_STEP_S).stdout
    except CommandFailed as error:
        raise ModuleError(
            f"{_path(spec)} is not installed",
            hint=hints.command("kernel-test-load", "--target", "NAME"),
        ) from error
    return bundle.read_info(text.encode(), where=file).identifier


@dataclass(frozen=True, kw_only=True)
class _Tools:
    """The commands by which one release of macOS loads, unloads and lists kexts.

    `through_collection` means that kexts are loaded from the auxiliary kernel collection (macOS 11
    and later).
    """

    load: tuple[str, ...]
    unload: tuple[str, ...]
    listing: tuple[str, ...]
    through_collection: bool


_KEXTLOAD = _Tools(
    load=("kextload",),
    unload=("kextunload", "-b"),
    listing=("kextstat", "-l"),
    through_collection=False,
)
_KMUTIL = _Tools(
    load=("kmutil", "load", "-p"),
    unload=("kmutil", "unload", "-b"),
    listing=("kmutil", "showloaded", "--list-only"),
    through_collection=True,
)


def _tools(guest: Guest) -> _Tools:
    said = guest.run(["sw_vers", "-productVersion"], deadline_s=_STEP_S).stdout
    return _KMUTIL if system.parse_version(said) >= (11, 0) else _KEXTLOAD


def _list_kexts(guest: Guest, tools: _Tools) -> dict[str, ModuleEntry]:
    return parse_modules(as_root(guest, tools.listing, deadline_s=_STEP_S).stdout)


def _sections(entry: ModuleEntry) -> dict[str, int]:
    return {"__TEXT": entry.address} if entry.address else {}


def _try_to_load(
    guest: Guest, command: Sequence[str], spec: ModuleSpec, *, deadline_s: float
) -> tuple[Said[LoadState], str]:
    done = _run_tool(guest, command, f"{spec.name} hangs in its start", deadline_s=deadline_s)
    words = done.stdout + done.stderr
    return kext_words.load_meaning(words, done.status), words


def _try_to_unload(
    guest: Guest, command: Sequence[str], *, deadline_s: float
) -> Said[UnloadState]:
    done = _run_tool(guest, command, f"{command[-1]} hangs in its stop", deadline_s=deadline_s)
    return kext_words.unload_meaning(done.stdout + done.stderr, done.status)


def _run_tool(guest: Guest, command: Sequence[str], what: str, *, deadline_s: float) -> Completed:
    limit = max(deadline_s, _TOOL_S)
    try:
        return as_root(guest, command, deadline_s=limit, check=False)
    except GuestLost as error:
        raise GuestHung(
            f"{what}: {command[0]} has not returned for {limit:.0f} s", evidence=error.evidence
        ) from error


def _not_in_the_list(tools: _Tools) -> Said[LoadState]:
    """Return what it means that the tool succeeded but the kernel does not list the kext.

    From macOS 11 on the kext is loaded at the next start; before, it counts as refused.
    """
    if tools.through_collection:
        return Said(
            state=LoadState.NEEDS_REBOOT,
            reason="it is in the auxiliary collection, which the next start loads",
            hint="restart the target: --reboot does it and continues",
        )
    return Said(
        state=LoadState.REFUSED,
        reason="kextload reports success, but kextstat does not list the kext",
    )


def _refusal(
    spec: ModuleSpec, said: Said[LoadState], evidence: Sequence[str]
) -> TargetNotReady | ModuleError:
    message = f"{spec.name} {said.state.value}: {said.reason}"
    kinds = {LoadState.NEEDS_APPROVAL: TargetNotReady, LoadState.NEEDS_REBOOT: RestartNeeded}
    kind = kinds.get(said.state, ModuleError)
    return kind(message, hint=said.hint, evidence=evidence)


def _log_since(guest: Guest, before: Sequence[str]) -> tuple[str, ...]:
    return message_buffer.new_lines(before, kernel_log(guest))


def _await_devices(
    guest: Guest, spec: ModuleSpec, *, deadline_s: float, since: Sequence[str]
) -> None:
    end = time.monotonic() + deadline_s
    test = " && ".join(f"test -e {shlex.quote(device)}" for device in spec.devices) or "true"
    while guest.run(test, deadline_s=_STEP_S, check=False).status != 0:
        if time.monotonic() > end:
            raise ModuleError(
                f"{spec.name} is loaded, but {' or '.join(spec.devices)} did not appear",
                evidence=_log_since(guest, since),
            )
        time.sleep(_RETRY_S)
