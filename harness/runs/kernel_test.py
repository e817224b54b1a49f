# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run `kernel-test` from the request to the verdict: a list of stages, each timed and shown.

open_guest (leftovers ... guest) -> load -> tests -> unload -> final log check

All files of a run are in one folder. Every run ends in a RunReport: an error of a stage decides
the verdict. The caller gets an exception only for a refused request (UsageError), a full disk and
an interrupt. A guest that dies in any stage is explained before it is removed.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from harness.artefacts import kernel_parts, kernels
from harness.artefacts.requested import build_module, build_variant
from harness.errors import (
    ConfigError,
    GuestCrashed,
    HarnessError,
    HypervisorDied,
    NoTests,
    ScannerBlind,
    TestsBroken,
    UsageError,
)
from harness.guest import cpu_models, registry
from harness.guest.session import Session
from harness.host import accelerator
from harness.host.config import choose_target
from harness.model.listed import ListedSuite
from harness.model.machines import TargetSpec, wrong_key
from harness.model.request import KernelTestRequest
from harness.model.settings import ModuleBuild, RunReport, TestResult
from harness.report import run_folders
from harness.report.live_view import LiveView
from harness.runs import debug_on_crash, provenance, suite_runner
from harness.runs.ledger import SuiteOutcome
from harness.runs.loaded_guest import LoadedGuest, open_guest
from harness.runs.run_state import RunRecord
from harness.systems.linux import kmemleak, kmod
from harness.test_kinds import chosen

# Two scans of all memory, and the time until a report of the kernel's log is complete.
_LEAK_SCAN_S, _REPORTED_S = 60.0, 10.0
_POLL_S = 0.1


def run(request: KernelTestRequest, view: LiveView) -> RunReport:
    """Run the tests once and return the report; its files are written when this returns.

    An error of a stage decides the report's verdict. Tests that do not even import end the run
    before the guest is started.
    Raises: ConfigError for an unknown target, kernel or processor model, HypervisorError when
        libvirt cannot check the model, UsageError for a request that this host, terminal or kernel
        does not allow, for a selection without a test and for a run id that exists, Lost when the
        disk is full, and RunInterrupted after cleaning up.
    """
    target = _target(request)
    debug_on_crash.check(request)
    if not request.suites:
        groups = ", ".join(repr(group) for group in request.selection.groups)
        raise UsageError(
            f"no suite of group {groups} is configured", hint="[[tool.harness.tests]] has none"
        )
    view.stage("list tests")
    try:
        suites = chosen.choose(request.suites, request.selection, build=request.build)
    except (TestsBroken, NoTests) as broken:
        return _new_record(request, view).finish(broken)
    # Only now, so that a misspelt test leaves no folder of a run behind.
    record = _new_record(request, view)
    error: HarnessError | None = None
    with record.reporting_interrupts():
        try:
            with open_guest(request, target, record) as guest:
                error = _tested(request, suites, guest, record)
        except UsageError as refused:
            # No guest was started, so there is no verdict; the report is for `nightly`.
            record.finish(refused)
            raise
        except HarnessError as raised:
            error = raised
    return record.finish(error)


def _tested(
    request: KernelTestRequest,
    suites: Sequence[ListedSuite],
    guest: LoadedGuest,
    record: RunRecord,
) -> HarnessError | None:
    """Load the module, run the suites and unload the module in a guest that is up.

    Return the error that ended this early, None if there was none. A death of the guest is
    explained before this returns.
    """
    try:
        with record.stage("load"):
            guest.load()
        _test(suites, guest, record)
        if record.outcome.error is not None:
            return record.outcome.error
        _close(request, guest, record)
        suite_runner.explain_rest(guest)
    except (GuestCrashed, HypervisorDied) as error:
        suite_runner.explain(guest, error, test="")
        return error
    except HarnessError as error:
        return error
    return None


@contextmanager
def load_guest(request: KernelTestRequest, view: LiveView) -> Iterator[LoadedGuest]:
    """Start a guest with the module loaded, for the block; remove the guest afterwards.

    If the request has `keep`, the guest is left running.
    Raises: every HarnessError in which a stage can end.
    """
    target = _target(request)
    record = _new_record(request, view)
    with open_guest(request, target, record) as guest:
        with record.stage("load"):
            guest.load()
        yield guest


def built_module(request: KernelTestRequest, view: LiveView) -> ModuleBuild:
    """Return the module, or the request's variant of it, built for the kernel of the request.

    No image and no guest is needed.
    Raises: BuildError with the compiler's output, KernelError without the kernel's headers,
        ConfigError for an unknown target or kernel.
    """
    target = choose_target(request.settings, request.target_name, request.kernel_name)
    spec = request.settings.kernels[target.kernel]
    cache, shared = request.environment.cache, request.settings.shared_cache
    view.stage("kernel")
    kernel = kernels.ensure(target.kernel, spec, root=cache, shared=shared, progress=view.note)
    view.stage("build")
    if request.variant is None:
        return build_module(request, kernel, view.note)
    return build_variant(request, request.variant, kernel, view.note)


def _target(request: KernelTestRequest) -> TargetSpec:
    """Return the request's target, with the changes of the machine that its options ask for.

    Raises: ConfigError for an unknown name, for an unknown processor model, and for values that no
        machine can have, such as more NUMA nodes than CPUs; HypervisorError when libvirt does not
        answer about the model.
    """
    settings = request.settings
    name = request.target_name or settings.default_target
    target = choose_target(settings, request.target_name, request.kernel_name)
    changed = request.machine.applied(target)
    if (wrong := wrong_key(changed)) is not None:
        raise ConfigError(settings.file, f"tool.harness.targets.{name}.{wrong[0]}", wrong[1])
    cpu_models.check_model(settings, request.environment, name, changed, uri=request.uri)
    return changed


def _new_record(request: KernelTestRequest, view: LiveView) -> RunRecord:
    run_id = request.run_id or registry.new_run_id()
    folder = run_folders.create(request.runs, run_id)
    return RunRecord(
        run_id=run_id,
        target=request.target_name or request.settings.default_target,
        folder=folder,
        view=view,
        accel=accelerator.chosen(request.accel),
        provenance=provenance.of_project(
            request.settings.root,
            request.selection,
            command=request.command,
            machine=request.machine,
        ),
    )


def _test(suites: Sequence[ListedSuite], guest: LoadedGuest, record: RunRecord) -> None:
    results: list[TestResult] = []
    for suite in suites:
        with record.stage(f"tests: {suite.spec.name}"):
            outcome = suite_runner.run_suite(suite, guest)
        results += outcome.results
        record.outcome = SuiteOutcome(results=tuple(results), error=outcome.error)
        if outcome.error is not None:
            return


def _close(request: KernelTestRequest, guest: LoadedGuest, record: RunRecord) -> None:
    """Unload the module and its variants, unless the guest is kept; then run the final log check.

    Before the check, kmemleak looks for leaks if the kernel has it and the guest is not kept. The
    check asks the guest for faults in its kernel log. The first fault becomes `record.guest_word`.
    Raises: ModuleError, GuestHung for a module that does not unload; ScannerBlind, GuestCrashed.
    """
    live = guest.session
    limit = live.deadline(request.settings.timeouts.load_s)
    with record.stage("unload"):
        module = request.settings.module
        for spec in (*map(module.variant, module.variants), module):
            if not request.keep and kmod.is_loaded(live.guest, spec):
                with live.watched():
                    # A process of the last test may still have its device open.
                    kmod.unload(live.guest, spec, deadline_s=limit, attempts=5)
    if kernel_parts.has_leak_detector(live.request.kernel) and not request.keep:
        with record.stage("leak scan"), live.watched():
            _find_leaks(live)
    with record.stage("final log check"):
        _last_words(request, live, record)


def _find_leaks(live: Session) -> None:
    """Scan for memory that the modules have leaked, and write the leaks to the kernel's log.

    The console's scanner finds them there as it finds every kernel report.
    Raises: CommandFailed, GuestLost; ScannerBlind when a report does not reach the console.
    """
    # Debian's kernels have 250 Hz.
    hz = kernel_parts.number(live.request.kernel, "CONFIG_HZ", 250)
    leaks = kmemleak.scan(live.guest, hz=hz, deadline_s=live.deadline(_LEAK_SCAN_S))
    if not leaks:
        return
    before = len(live.watch.reports)
    kmemleak.report(live.guest, leaks)
    end = time.monotonic() + live.deadline(_REPORTED_S)
    while len(live.watch.reports) == before:
        live.check_alive()
        if time.monotonic() > end:
            raise ScannerBlind("a leak did not reach the console's scanner")
        time.sleep(_POLL_S)


def _last_words(request: KernelTestRequest, live: Session, record: RunRecord) -> None:
    allowed = request.settings.allow_kernel_lines
    faults = kmod.last_word(live.guest, live.token, allow=allowed)
    record.guest_word = faults[0] if faults else ""
    if not faults:
        live.wait_for_last_word(deadline_s=live.deadline(request.settings.timeouts.silence_s))
    if not live.watch.sees_faults:
        raise ScannerBlind("the planted kernel line did not reach the console's scanner")
    if live.watch.beats < 1:
        raise ScannerBlind("no heartbeat of the guest's kernel reached the console")
    live.check_alive()
