# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""`kernel-test` from the request to the verdict: a list of stages, each timed and shown.

    leftovers -> build -> image -> kernel -> guest -> load -> tests -> unload -> last word

Everything that a run finds lies in one folder. The run ends in a RunReport whatever happens;
what a stage raises decides the verdict, it does not reach the caller as a traceback.
"""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness import build as module_build
from harness import (
    handoff,
    image,
    kernels,
    leftovers,
    lives,
    platform_linux,
    session,
    suites,
)
from harness.config import Environment, choose_target
from harness.errors import HarnessError, ScannerBlind, UsageError
from harness.live import LiveView
from harness.model import (
    Accel,
    Kernel,
    ModuleBuild,
    ModuleSpec,
    RunReport,
    Settings,
    TargetSpec,
    TestResult,
)
from harness.run_record import RunRecord
from harness.session import CONSOLE, Session, SessionRequest
from harness.suites import Selection, SuiteOutcome


@dataclass(frozen=True, kw_only=True)
class KernelTestRequest:
    """What was asked for on the command line, with the configuration behind it."""

    settings: Settings
    environment: Environment
    target_name: str | None
    kernel_name: str | None = None
    selection: Selection = field(default_factory=Selection)
    accel: Accel | None = None
    uri: str | None = None
    fresh: bool = False
    keep: bool = False
    share: Path | None = None
    run_id: str | None = None
    variant: str | None = None

    @property
    def runs(self) -> Path:
        """The folder that holds one folder a run."""
        return self.settings.root / "build" / "runs"


@dataclass(frozen=True, kw_only=True)
class StandingGuest:
    """A guest with the module loaded, and the file by which other processes join it."""

    session: Session
    build: ModuleBuild
    handoff: handoff.Handoff
    session_file: Path


def run(request: KernelTestRequest, view: LiveView) -> RunReport:
    """Return what one run of the tests found; its files are written when this returns.

    Raises: ConfigError for an unknown target or kernel, and KeyboardInterrupt after cleaning up.
    """
    target = choose_target(request.settings, request.target_name, request.kernel_name)
    record = _new_record(request, view)
    error: HarnessError | None = None
    try:
        with _standing(request, target, record) as standing:
            _test(request, standing, record)
            error = record.outcome.error or _close(request, standing, record)
    except HarnessError as raised:
        error = raised
    return record.finish(error)


@contextmanager
def standing_guest(request: KernelTestRequest, view: LiveView) -> Iterator[StandingGuest]:
    """Give a guest with the module loaded; with `keep` it stays after the caller has left.

    Raises: every HarnessError that a stage can end in.
    """
    target = choose_target(request.settings, request.target_name, request.kernel_name)
    with _standing(request, target, _new_record(request, view)) as standing:
        yield standing


def built_module(request: KernelTestRequest, view: LiveView) -> ModuleBuild:
    """Return the module built for the kernel of the request; no image, no guest.

    Raises: BuildError with the compiler's output, KernelError without the kernel's headers.
    """
    target = choose_target(request.settings, request.target_name, request.kernel_name)
    spec = request.settings.kernels[target.kernel]
    cache = request.environment.cache
    view.stage("kernel")
    kernel = kernels.ensure(target.kernel, spec, root=cache, progress=view.note)
    view.stage("build")
    if request.variant is None:
        return _built(request, kernel, view)
    if request.variant not in request.settings.module.variants:
        known = ", ".join(sorted(request.settings.module.variants)) or "none"
        raise UsageError(f"--variant {request.variant}: the configured variants are: {known}")
    return _variants(request, kernel, view)[request.variant]


def _new_record(request: KernelTestRequest, view: LiveView) -> RunRecord:
    run_id = request.run_id or lives.new_run_id()
    folder = request.runs / run_id
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise UsageError(f"{folder} exists: a run has one folder of its own") from error
    return RunRecord(
        run_id=run_id,
        target=request.target_name or request.settings.default_target,
        folder=folder,
        view=view,
        allowed=request.settings.allow_kernel_lines,
    )


@contextmanager
def _standing(
    request: KernelTestRequest, target: TargetSpec, record: RunRecord
) -> Iterator[StandingGuest]:
    environment, settings = request.environment, request.settings
    with record.stage("leftovers"):
        for line in leftovers.sweep(environment.runtime, environment.cache):
            record.view.note(line)
    asked = _artefacts(request, target, record)
    with record.stage("build"):
        build = _built(request, asked.kernel, record.view)
        variants = _variants(request, asked.kernel, record.view)
    with ExitStack() as stack:
        with record.stage("guest"):
            token = secrets.token_hex(8)
            opened = session.opened(asked, token=token, progress=record.view.note)
            live = stack.enter_context(opened)
            record.session = live
            record.console_word = ""
            live.console.subscribe(lambda line: record.view.console(line.text))
            record.facts.update(_facts(live, build))
            record.view.note(_accelerator(live))
        with record.stage("load"):
            limit = live.deadline(settings.timeouts.load_s)
            with live.watched():
                _push(live, settings, build, variants)
                platform_linux.load(live.guest, settings.module, deadline_s=limit)
        yield _standing_guest(request, live, build, variants, record)


def _artefacts(
    request: KernelTestRequest, target: TargetSpec, record: RunRecord
) -> SessionRequest:
    settings, cache = request.settings, request.environment.cache
    with record.stage("kernel"):
        spec = settings.kernels[target.kernel]
        kernel = kernels.ensure(target.kernel, spec, root=cache, progress=record.view.note)
    with record.stage("image"):
        wanted = image.load_spec(settings.images, target.image)
        base = image.ensure(wanted, root=cache, progress=record.view.note)
    return SessionRequest(
        run_id=record.run_id,
        target_name=request.target_name or settings.default_target,
        target=target,
        image=base,
        kernel=kernel,
        timeouts=settings.timeouts,
        cache=cache,
        runtime=request.environment.runtime,
        folder=record.folder,
        accel=request.accel,
        uri=request.uri,
        fresh=request.fresh,
        keep=request.keep,
        share=request.share,
    )


def _built(request: KernelTestRequest, kernel: Kernel, view: LiveView) -> ModuleBuild:
    settings = request.settings
    build = _build(request, settings.module, "kernel", kernel, view)
    module_build.run_companions(settings.module, project=settings.root)
    return build


def _variants(
    request: KernelTestRequest, kernel: Kernel, view: LiveView
) -> dict[str, ModuleBuild]:
    module = request.settings.module
    return {
        key: _build(request, module.variant(key), f"kernel-{key}", kernel, view)
        for key in module.variants
    }


def _build(
    request: KernelTestRequest, spec: ModuleSpec, folder: str, kernel: Kernel, view: LiveView
) -> ModuleBuild:
    root = request.settings.root
    return module_build.build_module(
        spec,
        kernel,
        project=root,
        out=module_build.output_folder(root, folder, cache_root=request.environment.cache),
        variables=request.environment.kbuild,
        progress=view.note,
    )


def _push(
    live: Session, settings: Settings, build: ModuleBuild, variants: dict[str, ModuleBuild]
) -> None:
    platform_linux.push_module(live.guest, build, settings.module)
    for key, variant in variants.items():
        platform_linux.push_module(live.guest, variant, settings.module.variant(key))


def _accelerator(live: Session) -> str:
    return f"accelerator {live.accel.value}, deadlines x {live.factor:g}, guest {live.origin}"


def _facts(live: Session, build: ModuleBuild) -> dict[str, str]:
    asked = live.request
    return {
        "kernel": asked.kernel.release,
        "kernel package version": asked.kernel.version,
        "image": f"{asked.image.name} {asked.image.key}",
        "module build id": build.build_id,
        "guest": live.origin,
        **live.hv.versions,
    }


def _standing_guest(
    request: KernelTestRequest,
    live: Session,
    build: ModuleBuild,
    variants: dict[str, ModuleBuild],
    record: RunRecord,
) -> StandingGuest:
    found = handoff.Handoff(
        run_id=record.run_id,
        settings_file=request.settings.file,
        target=live.request.target_name,
        accel=live.accel,
        factor=live.factor,
        folder=record.folder,
        console=record.folder / CONSOLE,
        endpoint=live.endpoint,
        build=build,
        variants=variants,
    )
    file = record.folder / "session.json"
    handoff.write(found, file)
    return StandingGuest(session=live, build=build, handoff=found, session_file=file)


def _test(request: KernelTestRequest, standing: StandingGuest, record: RunRecord) -> None:
    results: list[TestResult] = []
    for spec in request.settings.tests:
        with record.stage(f"tests: {spec.name}"):
            outcome = suites.run_suite(
                spec,
                standing.session,
                selection=request.selection,
                session_file=standing.session_file,
                on_start=record.view.running,
                on_result=record.view.test,
            )
        results += outcome.results
        record.outcome = SuiteOutcome(results=tuple(results), error=outcome.error)
        if outcome.error is not None:
            return


def _close(
    request: KernelTestRequest, standing: StandingGuest, record: RunRecord
) -> HarnessError | None:
    """Unload the module and take the witnesses' last words."""
    live = standing.session
    limit = live.deadline(request.settings.timeouts.load_s)
    try:
        with record.stage("unload"):
            module = request.settings.module
            for spec in (*map(module.variant, module.variants), module):
                if not request.keep and platform_linux.is_loaded(live.guest, spec):
                    platform_linux.unload(live.guest, spec, deadline_s=limit, attempts=5)
        with record.stage("last word"):
            _last_words(request, live, record)
    except HarnessError as error:
        return error
    return None


def _last_words(request: KernelTestRequest, live: Session, record: RunRecord) -> None:
    allowed = request.settings.allow_kernel_lines
    faults = platform_linux.last_word(live.guest, live.token, allow=allowed)
    record.guest_word = faults[0] if faults else ""
    if not faults:
        live.wait_for_last_word(deadline_s=live.deadline(request.settings.timeouts.silence_s))
    record.libvirt_word = live.libvirt_objection()
    if not live.watch.sees:
        raise ScannerBlind("the planted kernel line did not reach the console's scanner")
    if live.watch.beats < 1:
        raise ScannerBlind("no heartbeat of the guest's kernel reached the console")
    live.check_alive()
