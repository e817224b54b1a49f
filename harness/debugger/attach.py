# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Start a debugger on a run's guest, on this terminal, with all symbols.

guest -> symbols (vmlinux, slide, build id, modules) -> guard -> command file -> debugger

The debugger's output is not read. Its command file stays in the run's folder, where a person or an
editor can use it again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import hints
from harness.artefacts import kernel_symbols, kernels
from harness.debugger import command_file, editor, kaslr, stub_process
from harness.debugger.command_file import ScriptSpec
from harness.debugger.inside import facts
from harness.debugger.inside.elf import Image
from harness.debugger.stub_relay import Found
from harness.errors import DebugError, HarnessError, UsageError
from harness.guest import cleanup, domain, hypervisor, paused_boot, shared_session
from harness.guest.paused_boot import BootRequest
from harness.guest.registry import GuestEntry
from harness.host import debuggers, foreground, whole_file
from harness.host.debuggers import Debugger
from harness.model.environment import Environment
from harness.model.settings import ModuleSpec, Settings
from harness.systems.linux import kmod
from harness.systems.ssh import Guest

Progress = Callable[[str], None]
ROOT = Path(__file__).resolve().parents[2]
_FACTS = "debug-facts.json"
_INDEX = "gdb-index"
_SSH_S = 20.0


@dataclass(frozen=True, kw_only=True)
class AttachRequest:
    """The options of a call of debug-attach: the guest, the debugger, breakpoints, commands.

    With `at_boot` a guest is booted for the debugger, on the given target and kernel. `vmlinux` is
    used instead of the kernel symbols in the cache. `source` is the folder of the kernel's source.
    """

    settings: Settings
    environment: Environment
    guest: str = ""
    debugger: str = "auto"
    vmlinux: Path | None = None
    breakpoints: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    source: Path | None = None
    at_boot: bool = False
    target_name: str | None = None
    kernel_name: str | None = None

    @property
    def batch(self) -> bool:
        """Whether the debugger only runs the given commands and then leaves."""
        return bool(self.commands)


@dataclass(frozen=True, kw_only=True)
class Symbols:
    """The symbols of one guest: the kernel's files and its offset, and the files of modules.

    `reduced` is the copy of vmlinux for lldb. `slide` is the offset that KASLR added to the
    kernel's addresses, 0 without vmlinux or early in the boot. `modules` gives files
    by the kernel's names of the modules.
    """

    vmlinux: Path | None
    reduced: Path | None
    slide: int
    modules: dict[str, Path]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A debugger that can be started: its command line and the command file."""

    line: list[str]
    script: Path


def attach(request: AttachRequest, progress: Progress) -> int:
    """Start a debugger on a guest on this terminal, and return the debugger's exit status.

    When this returns, the guest's state is restored, and a guest that was booted for the debugger
    is gone.
    Raises: UsageError for a missing guest or debugger, a second debugger, or a vmlinux that is no
        ELF file or of another kernel; DebugError when QEMU's debug stub does not open, or when the
        guest must be asked over SSH because there is no vmlinux, and does not answer.
    """
    # A missing debugger is reported before a guest is booted for it.
    debuggers.choose(request.debugger)
    if not request.at_boot:
        return attach_to(request, living(request), progress)
    boot = BootRequest(
        settings=request.settings,
        environment=request.environment,
        target_name=request.target_name,
        kernel_name=request.kernel_name,
    )
    with paused_boot.boot_paused(boot, progress) as life:
        return attach_to(request, life, progress)


def attach_to(request: AttachRequest, life: GuestEntry, progress: Progress) -> int:
    """Start a debugger on the given guest on this terminal, and return its exit status.

    Raises: the errors of `attach`.
    """
    program = debuggers.choose(request.debugger)
    with stub_process.started(life, cache=request.environment.cache) as guarded:
        symbols = find_symbols(request, life)
        if symbols.vmlinux is None:
            progress(f"no symbols of the kernel: {hints.command('kernel-symbols')} fetches them")
        prepared = prepare(request, life, symbols, guarded(), program)
        progress(f"{program.path.name} reads its commands from {prepared.script}")
        return foreground.run(prepared.line)


@contextmanager
def for_editor(request: AttachRequest, progress: Progress) -> Iterator[Path]:
    """Write a launch.json by which an editor debugs a guest, and keep the guest's stub open.

    The context manager gives the path of launch.json. The stub is closed and the guest's state
    restored when its block ends.
    Raises: the errors of `attach`; UsageError for a launch.json that cannot be added to, or when
        there is no file with symbols.
    """
    wanted = ("gdb", "lldb") if request.debugger == "auto" else (request.debugger,)
    life = living(request)
    with stub_process.started(life, cache=request.environment.cache) as opening:
        symbols = find_symbols(request, life)
        file = _any_file(symbols)
        guarded = opening()
        found = []
        for name in wanted:
            program = debuggers.choose(name)
            prepared = prepare(request, life, symbols, guarded, program)
            progress(f"{program.path.name}: {prepared.script}")
            found.append(
                editor.configuration(program.debugger, program.path, prepared.script, file)
            )
        yield _launch_file(request.settings.root, found)


def _any_file(symbols: Symbols) -> Path:
    """Return a file with symbols of the guest: its kernel's, else one of its modules'.

    Raises: UsageError when there is none.
    """
    for file in (symbols.vmlinux, *symbols.modules.values()):
        if file is not None:
            return file
    raise UsageError(
        "there is no file with symbols of this guest's kernel or module",
        hint=f"{hints.command('kernel-symbols')} fetches those of the kernel",
    )


def _launch_file(root: Path, configurations: list[dict[str, Any]]) -> Path:
    file = root / ".vscode" / "launch.json"
    try:
        text = editor.merged(file.read_text() if file.exists() else "", configurations)
    except ValueError as error:
        raise UsageError(
            f"{file} cannot be added to: {error}", hint="take its comments out, or move it away"
        ) from error
    file.parent.mkdir(exist_ok=True)
    whole_file.write(file, text)
    return file


def living(request: AttachRequest) -> GuestEntry:
    """Return the guest that the request names, which must be running.

    Raises: UsageError, which lists the known guests, when the name fits none or several of them;
        UsageError when the guest has ended.
    """
    life = cleanup.choose_guest(request.environment.runtime, request.guest)
    if not hypervisor.guest_alive(life.folder, private=life.private):
        raise UsageError(
            f"the guest of run {life.run_id} is gone",
            hint=f"{hints.command('kernel-test-load')} starts one",
        )
    return life


def find_symbols(request: AttachRequest, life: GuestEntry) -> Symbols:
    """Return the symbols of a guest, after comparing vmlinux with the guest's memory.

    Memory that cannot be read, as early in the boot, is not compared.
    Raises: UsageError when vmlinux belongs to another kernel or is no ELF file.
    """
    modules = _module_files(request.settings, life)
    vmlinux, reduced = _kernel_files(request, life)
    if vmlinux is None:
        return Symbols(vmlinux=None, reduced=None, slide=0, modules=modules)
    try:
        image = Image(vmlinux)
    except (OSError, ValueError) as error:
        raise UsageError(f"--vmlinux {vmlinux}: {error}") from error
    cache = request.environment.cache / "libvirt"
    with (
        hypervisor.connect(life.uri, runtime=life.folder, cache=cache, mask_kvm=False) as hv,
        domain.attach(hv, life.domain) as guest,
    ):
        slide = kaslr.slide(guest, image)
        if slide is not None:
            kaslr.check_build(guest, image, slide)
    return Symbols(vmlinux=vmlinux, reduced=reduced, slide=slide or 0, modules=modules)


def _kernel_files(request: AttachRequest, life: GuestEntry) -> tuple[Path | None, Path | None]:
    """Return a guest's vmlinux and its reduced copy for lldb, each None if it is not found.

    They come from the user's options or the cache.
    """
    if request.vmlinux is not None:
        return request.vmlinux, None
    release = _release(life)
    root = request.environment.cache
    if release:
        known = kernel_symbols.of_release(release, root)
        return (known[0].vmlinux, known[0].reduced) if known else (None, None)
    target = request.settings.targets.get(life.target)
    name = request.kernel_name or (target.kernel if target else "")
    spec = request.settings.kernels.get(name)
    if spec is None:
        return None, None
    shared = request.settings.shared_cache
    kernel = kernels.ensure(name, spec, root=root, shared=shared, progress=lambda _text: None)
    found = kernel_symbols.find_all(kernel, root)
    return (found.vmlinux, found.reduced) if found else (None, None)


def prepare(
    request: AttachRequest,
    life: GuestEntry,
    symbols: Symbols,
    guarded: stub_process.Guarded,
    program: debuggers.Program,
) -> Prepared:
    """Write the command file of a debugger for a guest, and return its command line.

    Without a vmlinux, the addresses of modules are asked of the guest over SSH.
    Raises: DebugError when the guest is asked and does not answer.
    """
    fact_file = None
    if symbols.vmlinux is not None:
        fact_file = life.run / _FACTS
        facts.Facts(
            vmlinux=symbols.vmlinux,
            slide=symbols.slide,
            modules=symbols.modules,
            plugin=request.settings.module.debugger,
            dead=guarded.found is Found.DEAD,
            booting=request.at_boot,
        ).write(fact_file)
    lldb = program.debugger is Debugger.LLDB
    spec = ScriptSpec(
        socket=guarded.socket,
        root=ROOT,
        vmlinux=(symbols.reduced if lldb else None) or symbols.vmlinux,
        slide=symbols.slide,
        facts=fact_file,
        modules={} if fact_file else _sections_over_ssh(life, symbols.modules),
        source_maps={"./": f"{request.source}/"} if request.source else {},
        breakpoints=request.breakpoints,
        hardware=request.at_boot,
        index=symbols.vmlinux.with_name(_INDEX) if symbols.vmlinux else None,
        commands=request.commands,
        batch=request.batch,
    )
    script = life.run / f"debug.{program.debugger.value}"
    script.write_text(command_file.text(spec, program.debugger))
    line = command_file.command_line(
        program.debugger, str(program.path), script, batch=request.batch
    )
    return Prepared(line=line, script=script)


def _release(life: GuestEntry) -> str:
    """Return the kernel release with which a run was started, "" if it is not recorded."""
    try:
        return shared_session.read(life.run / "session.json").build.release
    except HarnessError:
        return ""


def _module_files(settings: Settings, life: GuestEntry) -> dict[str, Path]:
    """Return the run's module files with debug information, by the kernel's module names.

    The result is {} when the run has no record of its session.
    """
    try:
        found = shared_session.read(life.run / "session.json")
    except HarnessError:
        return {}
    module = settings.module
    files = {facts.kernel_name(module.name): found.build.debug}
    for key, build in found.variants.items():
        if key in module.variants:
            files[facts.kernel_name(module.variants[key].name)] = build.debug
    return {name: file for name, file in files.items() if file.is_file()}


def _sections_over_ssh(life: GuestEntry, modules: dict[str, Path]) -> dict[Path, dict[str, int]]:
    """Return the section addresses of loaded modules, read over SSH.

    Raises: DebugError when the guest does not answer.
    """
    found = {}
    try:
        with Guest.connect(life.endpoint, deadline_s=_SSH_S, alive=lambda: None) as guest:
            for name, file in modules.items():
                if kmod.is_loaded(guest, ModuleSpec(name=name, source=Path())):
                    found[file] = kmod.sections(guest, name)
    except HarnessError as error:
        raise DebugError(
            f"without symbols of the kernel the guest must say where modules are: {error.message}",
            hint=f"{hints.command('kernel-symbols')} fetches them",
        ) from error
    return found
