# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""`record`: one command in a guest that QEMU records, so that it can be replayed for ever.

    QEMU asked -> kernel -> build -> files -> guest (load, command) -> explained -> record.json

A run without record.json is no recording, and its folder is removed.
"""

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.artefacts import build, initrd, kernel_symbols, kernels, requested
from harness.crash import explain_log
from harness.crash.explain_log import Explained
from harness.errors import HypervisorError, UsageError
from harness.guest import console, registry
from harness.host import cache, tool
from harness.host.config import choose_target
from harness.model.machines import TargetSpec
from harness.model.request import KernelTestRequest
from harness.model.settings import Kernel, ModuleBuild, ModuleSpec
from harness.panic import frames
from harness.panic.scan import scan
from harness.panic.values import KernelReport
from harness.record import guest_init, libraries, qemu_process, recording
from harness.record.guest_init import Said
from harness.record.qemu_process import Recorder
from harness.record.recording import Ending, Fault, Machine, Mode, Recording
from harness.report.live_view import LiveView
from harness.symbols.symbolizer import Symbolizer

# Virtual: a file grows by what is saved into it, some 100 MB a state.
_STATES_SIZE = "64G"
# Instructions before the end of an ended guest that a replay does not reach for sure: 80 ms of its
# time, in which a timer of the machine always runs.
_TAIL = 10_000_000
_QEMU_IMG_S = 30.0
_QEMU_LOG = "qemu.log"
_FILES = (recording.EVENTS, recording.STATES, recording.KERNEL, recording.INITRD)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A finished recording, and what its console comes to."""

    folder: Path
    recording: Recording
    explained: Explained
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """3 for a kernel that stopped or left, 1 for a fault or a failed command, 4: no end."""
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
    """What a recording is made with: everything that is settled before QEMU starts."""

    target: TargetSpec
    recorder: Recorder
    kernel: Kernel
    module: ModuleSpec
    built: ModuleBuild


@dataclass(frozen=True, kw_only=True)
class _Life:
    """How the guest lived: QEMU's command line, saved states, how far a replay goes."""

    line: tuple[str, ...]
    states: tuple[str, ...]
    instructions: int


def record(
    request: KernelTestRequest, command: str, *, deadline_s: float, view: LiveView
) -> Recorded:
    """Return the recording of one shell command in a guest with the module loaded.

    Units: deadline_s is seconds for the guest, from its first instruction; a guest that goes on
    is ended there, and what was recorded until then is kept.
    Raises: UsageError when this host, the target or the options do not allow a recording, said
        before anything is built; KernelError, BuildError, HypervisorError, Lost.
    """
    target = choose_target(request.settings, request.target_name, request.kernel_name)
    recorder = qemu_process.recorder(arch=target.arch, accel=request.accel)
    made = _made(request, target, recorder, view)
    with _run_folder(request) as folder:
        view.stage("files")
        with cache.room(folder):
            _write_files(request, made, folder, command)
        machine = Machine(memory_mib=target.memory_mib, extra_cmdline=target.cmdline)
        life = _run_guest(request, made, machine, folder, deadline_s, view)
        lines = _lines(folder)
        said = guest_init.read_console(lines)
        reports = tuple(one for one in scan(lines) if one.kind != "canary")
        found = Recording(
            run_id=folder.name,
            command=command,
            module=made.module.name.replace("-", "_"),
            kernel=made.kernel.release,
            kernel_version=made.kernel.version,
            qemu=recorder.version,
            command_line=life.line,
            machine=machine,
            ending=_ending(said, reports, ended=not life.instructions),
            status=said.status,
            fault=_fault(reports),
            sections=said.sections,
            states=life.states,
            instructions=life.instructions,
            digests=digests(folder),
        )
        recording.write(found, folder)
    view.stage("explanation")
    explained, notes = _explain_reports(request, made, reports)
    return Recorded(folder=folder, recording=found, explained=explained, notes=notes)


def summary(found: Recorded) -> list[str]:
    """Return what a person wants to know of a recording: its reports, where it is, what next."""
    return [
        *explain_log.to_lines(found.explained),
        *(f"note: {note}" for note in found.notes),
        f"recorded: {found.folder} ({found.recording.ending.value})",
        f"back in its time: ./dev replay-debug {found.folder.name}",
    ]


def digests(folder: Path) -> dict[str, str]:
    """Return SHA-256 of every file that a replay reads, "" for one that is gone."""
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
    root = request.environment.cache
    kernel = kernels.ensure(target.kernel, spec, root=root, progress=view.note)
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
    """Give the folder of a new run; it goes when the block does not end with a recording."""
    folder = request.runs / (request.run_id or registry.new_run_id())
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise UsageError(f"{folder} exists: a run has one folder of its own") from error
    try:
        yield folder
    finally:
        if not (folder / recording.RECORD).is_file():
            shutil.rmtree(folder, ignore_errors=True)


def _write_files(request: KernelTestRequest, made: _Made, folder: Path, command: str) -> None:
    shutil.copyfile(made.kernel.vmlinuz, folder / recording.KERNEL)
    modules = folder / requested.MODULES
    modules.mkdir()
    shutil.copy2(made.built.debug, modules / f"{made.built.name}.ko")
    over = guest_init.files(
        made.module, made.built.stripped.read_bytes(), _programs(request), command
    )
    base = made.kernel.initrd.read_bytes()
    # Archives after the first begin at a multiple of four.
    padded = base + bytes(-len(base) % 4)
    (folder / recording.INITRD).write_bytes(padded + initrd.overlay(over))
    states = str(folder / recording.STATES)
    create = ["qemu-img", "create", "-q", "-f", "qcow2", states, _STATES_SIZE]
    within = tool.Surroundings(disk=folder)
    tool.run(create, deadline_s=_QEMU_IMG_S, error=HypervisorError, within=within)


def _programs(request: KernelTestRequest) -> dict[str, tuple[bytes, int]]:
    """Return what is pushed into guests, each program with its libraries."""
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
    """Run the guest to its end or the deadline."""
    view.stage("guest: boot")
    with registry.place(request.environment.runtime, "record") as place:
        names = (*_FILES, recording.CONSOLE)
        line = recording.arguments(
            machine,
            Mode.RECORD,
            files={name: folder / name for name in names},
            state=recording.AT_START,
            control={"qmp": place / "qmp"},
        )
        log = folder / _QEMU_LOG
        (folder / recording.CONSOLE).touch()
        with qemu_process.start_qemu(made.recorder, line, log=log, qmp=place / "qmp") as qemu:
            states = _watch_guest(qemu, folder, deadline_s, view)
            instructions = max(qemu.query_count() - _TAIL, 1) if qemu.alive else 0
            qemu.end()
        if not any(_lines(folder)):
            raise HypervisorError("the guest said nothing", evidence=qemu.words())
    command = (str(made.recorder.program), *line)
    return _Life(line=command, states=states, instructions=instructions)


def _watch_guest(
    qemu: qemu_process.RunningQemu, folder: Path, deadline_s: float, view: LiveView
) -> tuple[str, ...]:
    """Show the guest's life until its end or the deadline; return the states that were saved."""
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
    """Save the state that replays begin with; without it they begin at the first instruction."""
    try:
        qemu.save_state(recording.AT_LOAD)
    except HypervisorError as error:
        view.note(f"replays will begin with the boot: {error.message}")
        return False
    return True


def _lines(folder: Path) -> list[str]:
    return list(console.follow(folder / recording.CONSOLE, alive=lambda: False))


def _ending(said: Said, reports: tuple[KernelReport, ...], *, ended: bool) -> Ending:
    if any(one.fatal for one in reports):
        return Ending.PANIC
    if said.refused:
        return Ending.REFUSED
    if not ended:
        return Ending.DEADLINE
    return Ending.FINISHED if said.status is not None else Ending.GONE


def _fault(reports: tuple[KernelReport, ...]) -> Fault | None:
    """Return the instruction that the first report points at, where its text names one."""
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
    """Return the reports with files and lines, as kernel-test shows them."""
    vmlinux = kernel_symbols.find(made.kernel, request.environment.cache)
    modules = {made.built.name: made.built.debug}
    roots = (request.settings.root, made.module.source)
    with Symbolizer(modules, vmlinux, roots=roots) as symbolizer:
        decorated = tuple(symbolizer.report(one) for one in reports)
        return Explained(reports=decorated, count=len(decorated)), symbolizer.notes
