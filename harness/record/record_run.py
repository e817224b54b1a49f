# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run one command in a guest that QEMU records, so that the run can be replayed.

check QEMU -> kernel -> build -> files -> guest (load, command) -> explanation -> record.json

record.json is written last. A folder without it is not a recording and is removed.
"""

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import hints
from harness.artefacts import build, initrd, kernel_symbols, kernels, requested
from harness.crash import log_text
from harness.crash.explain_log import Explained
from harness.errors import HypervisorError
from harness.guest import console, registry
from harness.guest.log_watch import CANARY_KIND
from harness.host import cache, tool
from harness.host.config import choose_target
from harness.model.machines import TargetSpec
from harness.model.request import KernelTestRequest
from harness.model.settings import Kernel, ModuleBuild, ModuleSpec
from harness.panic import frames
from harness.panic.scan import scan
from harness.panic.values import KernelReport
from harness.record import guest_init, libraries, qemu_process, recording
from harness.record.guest_init import InitProgress
from harness.record.qemu_process import Recorder
from harness.record.recording import Ending, Fault, Machine, Mode, Recording
from harness.report import run_folders
from harness.report.live_view import LiveView
from harness.symbols.symbolizer import Symbolizer

# The virtual size of the disk for saved states. Its file grows by about 100 MB for each state.
_STATES_SIZE = "64G"
# A replay of a guest that was ended at its deadline may stop up to this many instructions before
# the end. They take 80 ms of the guest's time, in which a timer of the machine always fires.
_TAIL = 10_000_000
_QEMU_IMG_S = 30.0
_QEMU_LOG = "qemu.log"
# The keys of a target whose hardware a recorded guest does not have; it has one processor.
_NOT_RECORDED = ("cpu", "numa", "disks_mib", "nics", "pci", "qemu")
_PLAIN = TargetSpec()
_FILES = (recording.EVENTS, recording.STATES, recording.KERNEL, recording.INITRD)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A finished recording, and the kernel reports that its console holds."""

    folder: Path
    recording: Recording
    explained: Explained
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """The exit code of the task `record`: the first of these that applies, else 0.

        3: the kernel panicked or the guest shut down by itself. 1: the kernel reported a fault or
        refused the module. 4: the guest still ran at the deadline. 1: the command failed.
        """
        stopped = any(one.fatal for one in self.explained.reports)
        if stopped or self.recording.ending is Ending.GONE:
            return 3
        if self.explained.count or self.recording.ending is Ending.REFUSED:
            return 1
        if self.recording.ending is not Ending.FINISHED:
            return 4
        return 1 if self.recording.status else 0


@dataclass(frozen=True, kw_only=True)
class _Made:
    """The target, kernel, module and QEMU of a recording, all prepared before QEMU starts."""

    target: TargetSpec
    recorder: Recorder
    kernel: Kernel
    module: ModuleSpec
    built: ModuleBuild


@dataclass(frozen=True, kw_only=True)
class _Life:
    """What is known of the guest after it ran: QEMU's command line, and what a replay needs.

    `states` are the names of the saved states from which a replay can begin. `instructions` is as
    in `Recording`.
    """

    line: tuple[str, ...]
    states: tuple[str, ...]
    instructions: int


def record(
    request: KernelTestRequest, command: str, *, deadline_s: float, view: LiveView
) -> Recorded:
    """Run one shell command in a recorded guest with the module loaded; return the recording.

    Units: deadline_s is seconds for the guest, from its first instruction. A guest that still runs
    is ended then, and the recording up to that point is kept.
    Raises: UsageError when this host, the target or the options do not allow a recording;
        ConfigError for an unknown target or kernel; KernelError, BuildError, HypervisorError,
        Lost.
    """
    target = choose_target(request.settings, request.target_name, request.kernel_name)
    recorder = qemu_process.recorder(arch=target.arch, accel=request.accel)
    unused = [key for key in _NOT_RECORDED if getattr(target, key) != getattr(_PLAIN, key)]
    if unused:
        view.note(f"a recorded guest does not have its target's {', '.join(unused)}")
    made = _made(request, target, recorder, view)
    with _run_folder(request) as folder:
        view.stage("files")
        with cache.room(folder):
            _write_files(request, made, folder, command)
        machine = Machine(memory_mib=target.memory_mib, extra_cmdline=target.cmdline)
        life = _run_guest(request, made, machine, folder, deadline_s, view)
        lines = _lines(folder)
        progress = guest_init.read_console(lines)
        reports = tuple(one for one in scan(lines) if one.kind != CANARY_KIND)
        found = Recording(
            run_id=folder.name,
            command=command,
            # The kernel, and so gdb, knows a module by a name without dashes.
            module=made.module.name.replace("-", "_"),
            kernel=made.kernel.release,
            kernel_version=made.kernel.version,
            qemu=recorder.version,
            command_line=life.line,
            machine=machine,
            ending=_ending(progress, reports, ended=not life.instructions),
            status=progress.status,
            fault=_fault(reports),
            sections=progress.sections,
            states=life.states,
            instructions=life.instructions,
            digests=digests(folder),
        )
        recording.write(found, folder)
    view.stage("explanation")
    explained, notes = _explain_reports(request, made, reports)
    return Recorded(folder=folder, recording=found, explained=explained, notes=notes)


def summary(recorded: Recorded) -> list[str]:
    """Return the lines to print for a recording: its reports, its folder and the next command."""
    return [
        *log_text.to_lines(recorded.explained),
        *(f"note: {note}" for note in recorded.notes),
        f"recorded: {recorded.folder} ({recorded.recording.ending.value})",
        f"debug it backwards: {hints.command('replay-debug', recorded.folder.name)}",
    ]


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in a recording's folder that a replay reads, by name.

    The value is "" for a file that is missing.
    """
    # A replay of changed files would take another course, so it is refused.
    return {name: _digest(folder / name) for name in _FILES}


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def _made(
    request: KernelTestRequest, target: TargetSpec, recorder: Recorder, view: LiveView
) -> _Made:
    settings = request.settings
    view.stage("kernel")
    spec = settings.kernels[target.kernel]
    root, shared = request.environment.cache, settings.shared_cache
    kernel = kernels.ensure(target.kernel, spec, root=root, shared=shared, progress=view.note)
    view.stage("build")
    if request.variant is None:
        built = requested.build_module(request, kernel, view.note)
        return _Made(
            target=target, recorder=recorder, kernel=kernel, module=settings.module, built=built
        )
    built = requested.build_variant(request, request.variant, kernel, view.note)
    build.run_companions(settings.module, project=settings.root, known=built.words)
    module = settings.module.variant(request.variant)
    return _Made(target=target, recorder=recorder, kernel=kernel, module=module, built=built)


@contextmanager
def _run_folder(request: KernelTestRequest) -> Iterator[Path]:
    """Create the folder of a new run; remove it when the block ends without a recording."""
    folder = run_folders.create(request.runs, request.run_id or registry.new_run_id())
    try:
        yield folder
    finally:
        if not (folder / recording.RECORD).is_file():
            shutil.rmtree(folder, ignore_errors=True)


def _write_files(request: KernelTestRequest, made: _Made, folder: Path, command: str) -> None:
    shutil.copyfile(made.kernel.vmlinuz, folder / recording.KERNEL)
    modules = folder / requested.MODULES
    modules.mkdir()
    # Replays read the symbols here; the guest gets the stripped module, which keeps its archive
    # small.
    shutil.copy2(made.built.debug, modules / f"{made.built.name}.ko")
    over = guest_init.files(
        made.module, made.built.stripped.read_bytes(), _programs(request), command
    )
    base = made.kernel.initrd.read_bytes()
    # The kernel looks for a second archive only at a multiple of four bytes.
    padded = base + bytes(-len(base) % 4)
    (folder / recording.INITRD).write_bytes(padded + initrd.overlay(over))
    states = str(folder / recording.STATES)
    create = ["qemu-img", "create", "-q", "-f", "qcow2", states, _STATES_SIZE]
    within = tool.Surroundings(disk=folder)
    tool.run(create, deadline_s=_QEMU_IMG_S, error=HypervisorError, within=within)


def _programs(request: KernelTestRequest) -> dict[str, tuple[bytes, int]]:
    """Return the programs of the setting `push`, each with its libraries, for a recorded guest.

    Shape: content and mode by the path in the guest.
    """
    found: dict[str, tuple[bytes, int]] = {}
    for item in request.settings.module.push:
        for library in libraries.libraries(item.source):
            found[str(library)] = (library.read_bytes(), 0o755)
        found[item.target] = (item.source.read_bytes(), item.mode)
    return found


def _run_guest(
    request: KernelTestRequest,
    made: _Made,
    machine: Machine,
    folder: Path,
    deadline_s: float,
    view: LiveView,
) -> _Life:
    """Run the guest until it ends or the deadline has passed; return what a replay needs of it.

    Raises: HypervisorError when the guest printed nothing, or a running QEMU does not answer.
    """
    view.stage("guest: boot")
    with registry.hold_folder(request.environment.runtime, "record") as place:
        names = (*_FILES, recording.CONSOLE)
        line = recording.arguments(
            machine,
            Mode.RECORD,
            files={name: folder / name for name in names},
            state=recording.AT_START,
            control={"qmp": place / "qmp"},
        )
        log = folder / _QEMU_LOG
        # The console is followed from the start, which may be before QEMU has created the file.
        (folder / recording.CONSOLE).touch()
        with qemu_process.start_qemu(made.recorder, line, log=log, qmp=place / "qmp") as qemu:
            states = _watch_guest(qemu, folder, deadline_s, view)
            instructions = _replayable(qemu)
            qemu.end()
        if not any(_lines(folder)):
            raise HypervisorError("the guest printed nothing", evidence=qemu.words())
    command = (str(made.recorder.program), *line)
    return _Life(line=command, states=states, instructions=instructions)


def _replayable(qemu: qemu_process.RunningQemu) -> int:
    """Return how many instructions of the running guest a replay can execute.

    The result is 0 for a guest that has ended by itself: its replay runs to the end.
    Raises: HypervisorError when a running QEMU does not answer.
    """
    if not qemu.alive:
        return 0
    try:
        # 0 would mean that the guest ended by itself.
        return max(qemu.query_count() - _TAIL, 1)
    except HypervisorError:
        # The guest may have ended just now.
        if qemu.alive:
            raise
        return 0


def _watch_guest(
    qemu: qemu_process.RunningQemu, folder: Path, deadline_s: float, view: LiveView
) -> tuple[str, ...]:
    """Show the guest's console until its end or the deadline, and save its state before the load.

    Return the names of the saved states from which a replay can begin.
    """
    states = [recording.AT_START]
    end = time.monotonic() + deadline_s

    def going() -> bool:
        return qemu.alive and time.monotonic() < end

    for line in console.follow(folder / recording.CONSOLE, alive=going):
        view.console(line)
        stage = guest_init.mark(line)
        if stage in {"load", "command"}:
            view.stage(f"guest: {stage}")
        if stage == "load" and _save_state(qemu, view):
            states.append(recording.AT_LOAD)
    return tuple(states)


def _save_state(qemu: qemu_process.RunningQemu, view: LiveView) -> bool:
    """Save the guest's state just before the module is loaded; return whether that succeeded.

    Without this state a replay begins at the guest's first instruction.
    """
    try:
        qemu.save_state(recording.AT_LOAD)
    except HypervisorError as error:
        view.note(f"replays will begin at the guest's boot: {error.message}")
        return False
    return True


def _lines(folder: Path) -> list[str]:
    return list(console.follow(folder / recording.CONSOLE, alive=lambda: False))


def _ending(progress: InitProgress, reports: tuple[KernelReport, ...], *, ended: bool) -> Ending:
    if any(one.fatal for one in reports):
        return Ending.PANIC
    if progress.refused:
        return Ending.REFUSED
    if not ended:
        return Ending.DEADLINE
    return Ending.FINISHED if progress.status is not None else Ending.GONE


def _fault(reports: tuple[KernelReport, ...]) -> Fault | None:
    """Return the failing instruction of the first kernel report that names one, or None."""
    for report in reports:
        for one in frames.where(report.text):
            if one.function and one.size and not one.inline:
                return Fault(
                    function=one.function, offset=one.offset, size=one.size, module=one.module
                )
    return None


def _explain_reports(
    request: KernelTestRequest, made: _Made, reports: tuple[KernelReport, ...]
) -> tuple[Explained, tuple[str, ...]]:
    """Return the kernel's reports with source files and lines, as kernel-test shows them.

    The second value has a note on each frame or file that could not be looked up.
    """
    vmlinux = kernel_symbols.find(made.kernel, request.environment.cache)
    modules = {made.built.name: made.built.debug}
    roots = (request.settings.root, made.module.source)
    with Symbolizer(modules, vmlinux, roots=roots) as symbolizer:
        decorated = tuple(symbolizer.report(one) for one in reports)
        return Explained(reports=decorated, count=len(decorated)), symbolizer.notes
