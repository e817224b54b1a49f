# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Work inside a Linux guest: prepare it, load and unload a module, check its log.

Each function sends one or a few commands over SSH. They also write marker lines into the kernel's
log, which `panic.markers` reads from the console.
"""

import re
import shlex
import time
from collections.abc import Mapping, Sequence

from harness import hints
from harness.errors import GuestHung, GuestLost, ModuleError
from harness.model.loaded_module import LoadedModule, ModuleEntry
from harness.model.settings import ModuleBuild, ModuleSpec, PushSpec
from harness.systems.linux import load_script, refusals
from harness.systems.linux.refusals import Refusal
from harness.systems.ssh import Guest

_STEP_S = 30.0
_RETRY_S = 0.5
_FOLDER = load_script.FOLDER
# Messages above the default of 128 KiB make copying faster (Documentation/filesystems/9p.rst).
_BY_9P = "-t 9p -o trans=virtio,version=9p2000.L,msize=512000 harness-share"
# The log's clock may be this late compared with the uptime that the shell prints.
_CLOCKS_APART_S = 2.0
_STAMP = re.compile(r"\[ *(\d+\.\d+)\]")
# The words that a guest's own log check counts as a fault. They are coarse; the scanner of the
# console is exact.
_FAULTS = (
    r"WARNING: |BUG: |Oops: |Kernel panic|general protection fault|Call Trace:|KASAN: |KFENCE: |"
    r"UBSAN: |KCSAN: |INFO: task .* blocked|rcu: INFO: |possible .* (deadlock|recursion|safety)|"
    r"unreferenced object|Unable to handle kernel|invalid opcode|stack segment: |list_(add|del) "
)


def prepare(guest: Guest, *, run_id: str, canary: str) -> None:
    """Prepare a guest for a run: set its clock, write a canary into its log, start a heartbeat.

    A restored guest still has the time at which it was saved. The canary (a line in the kernel's
    log that looks like a fault) proves that a fault in the log would be seen. The heartbeat, a
    line every second, proves that the kernel still schedules.
    Raises: GuestLost, CommandFailed.
    """
    # setsid and /dev/null: sshd would wait for a process that has its output open.
    script = f"""
mkdir -p {_FOLDER}
echo "harness-canary {canary}: WARNING: planted by the harness, not a fault" > /dev/kmsg
cat > {_FOLDER}/heartbeat <<'BEAT'
n=0
while :; do
	n=$((n + 1))
	echo "<6>harness-heartbeat {run_id} $n" > /dev/kmsg
	sleep 1
done
BEAT
setsid sh {_FOLDER}/heartbeat < /dev/null > /dev/null 2>&1 &
"""
    now = time.time()
    guest.run(f"date -u -s @{now:.3f} > /dev/null;{script}", deadline_s=_STEP_S)


def quiesce(guest: Guest, *, deadline_s: float) -> None:
    """Wait until the guest has finished booting and has written its files to the disk.

    Raises: GuestLost at the deadline, with the jobs that still run.
    """
    end = time.monotonic() + deadline_s
    while True:
        state = guest.run("systemctl is-system-running || :", deadline_s=_STEP_S).stdout.strip()
        # degraded: a unit has failed, but the system has finished booting.
        if state in {"running", "degraded"}:
            break
        if time.monotonic() > end:
            jobs = guest.run("systemctl list-jobs --no-pager || :", deadline_s=_STEP_S).stdout
            raise GuestLost(f"the guest is still {state}", evidence=jobs.splitlines())
        time.sleep(_RETRY_S)
    guest.run("udevadm settle; sync; echo 3 > /proc/sys/vm/drop_caches", deadline_s=deadline_s)


def mount_share(guest: Guest, *, writable: bool) -> None:
    """Mount the shared host folder at /mnt/share.

    A writable share is the folder itself, by 9p. A read-only share is a disk with a copy of it.
    """
    how = _BY_9P if writable else "-o ro LABEL=harness-share"
    guest.run(f"mount {how} /mnt/share", deadline_s=_STEP_S)


def push_modules(
    guest: Guest, modules: Sequence[tuple[ModuleBuild, ModuleSpec]], *, deadline_s: float
) -> None:
    """Copy built modules, their load plans and firmware, and the files of the setting `push`.

    They go from the host into the guest; the modules without debugging information.
    Raises: GuestLost; CommandFailed when a file cannot be written.
    """
    files: list[PushSpec] = []
    for build, spec in modules:
        for one in build.loaded:
            target = load_script.module_path(one.name)
            files.append(PushSpec(source=one.stripped, target=target, mode=0o600))
        if build.plan is not None:
            target = load_script.plan_path(spec.name)
            files.append(PushSpec(source=build.plan, target=target, mode=0o600))
            conf = build.plan.with_suffix(".conf")
            target = f"/etc/modprobe.d/harness-{spec.name}.conf"
            files += [PushSpec(source=conf, target=target, mode=0o644)] if conf.is_file() else []
        files += (*build.firmware, *spec.push)
    guest.push(files, deadline_s=deadline_s)


def load(
    guest: Guest,
    spec: ModuleSpec,
    *,
    deadline_s: float,
    parameters: Mapping[str, str] | None = None,
) -> LoadedModule:
    """Load the module and its companions in the guest; return when its devices exist.

    Companions are the modules that were built with it. `parameters` replace those of `spec`.
    Units: deadline_s is for one module; each companion may extend it by a quarter.
    Raises: ModuleError with the kernel's lines when init refuses, a parameter is not known, or a
        device is missing; GuestHung with insmod's kernel stack when init does not return.
    """
    chosen = spec.parameters if parameters is None else parameters
    script = f"{load_script.load(spec.name, chosen)}{_sections_of(spec.name)}"
    limit = deadline_s * (1 + _planned(guest, spec) / 4)
    try:
        done = guest.run(script, deadline_s=limit, check=False)
    except GuestLost as error:
        raise GuestHung(
            f"{spec.name} hangs in its init: insmod has not returned for {limit:.0f} s",
            hint="insmod's kernel stack and the kernel's log are above",
            evidence=_stack_of_insmod(guest) or error.evidence,
        ) from error
    since, _, said = done.stdout.partition("\n")
    if done.status != 0:
        raise _refused(guest, spec, said, since_s=float(since))
    _check_parameters(guest, spec, said, given=chosen, deadline_s=deadline_s)
    _await_devices(guest, spec, deadline_s=deadline_s, since_s=float(since))
    return LoadedModule(
        name=spec.name,
        sections=_parse_sections(said),
        refused=load_script.refused_companions(said),
    )


def _planned(guest: Guest, spec: ModuleSpec) -> int:
    """Return how many modules the guest's load plan for this module has, 0 without a plan.

    `load_script` describes the plan.
    """
    if not spec.modules and spec.dkms is None:
        return 0
    count = guest.run(f"grep -c . {load_script.plan_path(spec.name)} || :", deadline_s=_STEP_S)
    return int(count.stdout.strip() or 0)


def _refused(guest: Guest, spec: ModuleSpec, said: str, *, since_s: float) -> ModuleError:
    """Return the error for a module that insmod or modprobe could not load.

    It has the tool's message, the kernel's log lines, and as a hint what to do about the cause.
    `said` is the output of the load script, and `since_s` the uptime when it began.
    """
    log = _log_since(guest, since_s)
    tool, name, told = load_script.refused_step(said) or ("insmod", spec.name, said)
    words = _insmod_words(told)
    refusal = Refusal(
        module=name,
        words=told,
        log=log,
        owners=_owners(guest, refusals.unknown_symbols(log)),
        built_in="File exists" in told and _entry(guest, name) is None,
        parameters=_known_parameters(guest, name),
        companions=load_script.refused_companions(said),
    )
    what = f"{name} does not load" if tool == "insmod" else f"{name}, which it needs, is missing"
    return ModuleError(
        f"{what}: {words}",
        hint=refusals.hint(refusal) or "the kernel's message is above",
        evidence=log,
    )


def _owners(guest: Guest, symbols: Sequence[str]) -> dict[str, str]:
    """Return, for each of these symbols, the kernel's module that exports it, if there is one."""
    if not symbols:
        return {}
    # The blank ends the name, so that foo does not match foo_bar.
    wanted = " ".join(f"-e {shlex.quote(f'symbol:{symbol} ')}" for symbol in symbols)
    script = f"grep -h -F {wanted} /lib/modules/$(uname -r)/modules.symbols || :"
    lines = (line.split() for line in guest.run(script, deadline_s=_STEP_S).stdout.splitlines())
    return {words[1].removeprefix("symbol:"): words[2] for words in lines if len(words) == 3}


def _check_parameters(
    guest: Guest, spec: ModuleSpec, said: str, *, given: Mapping[str, str], deadline_s: float
) -> None:
    """Check that the loaded module has every parameter that it was given; a kernel only warns.

    `said`, the load script's output, has also the warnings about earlier loads.
    Raises: ModuleError for an unknown parameter; the module is unloaded then.
    """
    lines = [line for line in said.splitlines() if line.startswith(load_script.UNKNOWN)]
    own = {name.rpartition(".")[2] for name in given}
    unknown = [name for name in refusals.unknown_parameters(lines) if name in own]
    if not unknown:
        return
    names = ", ".join(_known_parameters(guest, spec.name)) or "none"
    unload(guest, spec, deadline_s=deadline_s, attempts=5)
    raise ModuleError(
        f"{spec.name} has no parameter {', '.join(unknown)}: the kernel ignores it",
        hint=f"its parameters are: {names}",
        evidence=[line.removeprefix(load_script.UNKNOWN) for line in lines],
    )


def _known_parameters(guest: Guest, name: str) -> tuple[str, ...]:
    """Return the names of the parameters that a module has whose file is in the guest, sorted."""
    script = f"modinfo -F parm {load_script.module_path(name)} || :"
    lines = guest.run(script, deadline_s=_STEP_S).stdout.splitlines()
    return tuple(sorted({line.partition(":")[0] for line in lines if ":" in line}))


def unload(guest: Guest, spec: ModuleSpec, *, deadline_s: float, attempts: int) -> None:
    """Unload the module and its companions, and try again while one of them is busy.

    Raises: ModuleError at once for a module that is not loaded, and with the module's users after
        the last attempt; GuestHung when rmmod does not return in time.
    """
    limit = deadline_s * (1 + _planned(guest, spec) / 4)
    words = ""
    for attempt in range(attempts):
        if attempt:
            time.sleep(_RETRY_S)
        try:
            done = guest.run(load_script.unload(spec.name), deadline_s=limit, check=False)
        except GuestLost as error:
            raise GuestHung(
                f"{spec.name} hangs in its exit: rmmod has not returned for {limit:.0f} s",
                evidence=error.evidence,
            ) from error
        if done.status == 0:
            return
        words = done.stderr.strip()
        if "is not currently loaded" in words:
            load = hints.command("kernel-test-load")
            raise ModuleError(f"{spec.name} is not loaded", hint=f"{load} loads it in a guest")
    raise ModuleError(
        f"{spec.name} does not unload after {attempts} attempts: {words}",
        hint=f"end its users, then {hints.command('kernel-test-unload')}",
        evidence=holders(guest, spec),
    )


def is_loaded(guest: Guest, spec: ModuleSpec) -> bool:
    """Return whether the module is loaded in the guest's kernel."""
    return _entry(guest, spec.name) is not None


def holders(guest: Guest, spec: ModuleSpec) -> tuple[str, ...]:
    """Return what keeps a module loaded (references, modules, files), or that it is not loaded."""
    entry = _entry(guest, spec.name)
    if entry is None:
        return (f"{spec.name} is not loaded",)
    found = [f"reference count {entry.references}"]
    found += [f"used by module {name}" for name in entry.used_by]
    wanted = " -o ".join(f"-lname {shlex.quote(device)}" for device in spec.devices)
    script = (
        f"find /proc/[0-9]*/fd \\( {wanted or '-false'} \\) 2>/dev/null | cut -d/ -f3 | sort -u"
        ' | while read -r pid; do echo "$pid $(cat /proc/$pid/comm)"; done; :'
    )
    for line in guest.run(script, deadline_s=_STEP_S).stdout.splitlines():
        found.append(f"open in process {line}")
    return tuple(found)


def mark(guest: Guest, text: str) -> None:
    """Write the line `text` into the guest's kernel log."""
    guest.run(f"echo {shlex.quote(text)} > /dev/kmsg", deadline_s=_STEP_S)


def kernel_log(guest: Guest) -> tuple[str, ...]:
    """Return the lines of the kernel's log."""
    return tuple(guest.run("dmesg", deadline_s=_STEP_S).stdout.splitlines())


def last_word(guest: Guest, token: str, *, allow: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the faults in the guest's kernel log since `prepare`; () means a clean log.

    Lines that match a pattern in `allow` are no faults. If the log is clean, a final line with
    `token` is written into it. A log without the canary that `prepare` wrote with `token` does not
    count as clean, because other lines may be missing, too.
    """
    log = guest.run("dmesg", deadline_s=_STEP_S).stdout.splitlines()
    planted = [number for number, line in enumerate(log) if f"harness-canary {token}" in line]
    if not planted:
        return ("the planted line is no longer in the guest's kernel log",)
    fault = re.compile(_FAULTS)
    allowed = [re.compile(pattern) for pattern in allow]
    found = tuple(
        line
        for line in log[planted[0] + 1 :]
        if fault.search(line) and not any(pattern.search(line) for pattern in allowed)
    )
    if not found:
        mark(guest, f"harness-last-word {token}")
    return found


def parse_modules(text: str) -> dict[str, ModuleEntry]:
    """Return the loaded modules that /proc/modules lists, by name.

    Source: Documentation/filesystems/proc.rst.
    """
    found = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 4:
            continue
        used_by = tuple(name for name in fields[3].split(",") if name not in {"", "-"})
        # A kernel without CONFIG_MODULE_UNLOAD prints "-" for the count.
        count = int(fields[2]) if fields[2].lstrip("-").isdigit() else 0
        found[fields[0]] = ModuleEntry(
            name=fields[0], size_bytes=int(fields[1]), references=count, used_by=used_by
        )
    return found


def _entry(guest: Guest, name: str) -> ModuleEntry | None:
    text = guest.run("cat /proc/modules", deadline_s=_STEP_S).stdout
    # The kernel writes the names of modules with underscores.
    return parse_modules(text).get(name.replace("-", "_"))


def _insmod_words(output: str) -> str:
    """Return the reason at the end of insmod's message, such as 'File exists'."""
    lines = output.strip().splitlines()
    return lines[-1].rpartition(": ")[2] if lines else "insmod printed no message"


def _log_since(guest: Guest, uptime_s: float) -> tuple[str, ...]:
    """Return the kernel log's lines since an uptime, and lines without a time that follow them.

    The log has its own clock, which may be late. Too many lines are better than too few; only the
    heartbeats of the harness are left out.
    """
    found: list[str] = []
    for line in kernel_log(guest):
        if "harness-heartbeat" in line:
            continue
        stamp = _STAMP.match(line)
        if (stamp and float(stamp[1]) >= uptime_s - _CLOCKS_APART_S) or (not stamp and found):
            found.append(line)
    return tuple(found)


def _await_devices(guest: Guest, spec: ModuleSpec, *, deadline_s: float, since_s: float) -> None:
    if not spec.devices:
        return
    end = time.monotonic() + deadline_s
    test = " && ".join(f"test -e {shlex.quote(device)}" for device in spec.devices)
    while guest.run(test, deadline_s=_STEP_S, check=False).status != 0:
        if time.monotonic() > end:
            raise ModuleError(
                f"{spec.name} is loaded, but {' or '.join(spec.devices)} did not appear",
                evidence=_log_since(guest, since_s),
            )
        time.sleep(_RETRY_S)


def sections(guest: Guest, name: str) -> dict[str, int]:
    """Return a module's section addresses by name; raise CommandFailed if it is not loaded."""
    return _parse_sections(guest.run(_sections_of(name), deadline_s=_STEP_S).stdout)


def _sections_of(name: str) -> str:
    """Return a shell command that prints the addresses of a loaded module's sections.

    It runs one process, because each one is slow in an emulated guest.
    """
    folder = shlex.quote(f"/sys/module/{name.replace('-', '_')}/sections")
    # Most names begin with a dot, and * leaves those out.
    return f"cd {folder} && {{ grep -sH . .[!.]* *; :; }}"


def _parse_sections(text: str) -> dict[str, int]:
    pairs = (line.rpartition(":") for line in text.splitlines())
    return {name: int(value, 16) for name, _, value in pairs if value.startswith("0x")}


def _stack_of_insmod(guest: Guest) -> tuple[str, ...]:
    script = f"cat /proc/$(cat {_FOLDER}/insmod.pid)/stack; dmesg | tail -n 20"
    try:
        return tuple(guest.run(script, deadline_s=5.0, check=False).stdout.splitlines())
    except GuestLost:
        return ()
