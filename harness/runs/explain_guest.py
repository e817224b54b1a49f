# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Explain a kept guest that has crashed or hangs, or whose kernel has reported a fault.

entry of the guest -> join -> find what is wrong -> collect -> report.json of its run

The guest's state is restored afterwards. A hanging guest gets an NMI only if
no other way gives an explanation, because the NMI ends the guest.
"""

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from harness.artefacts import kernel_symbols
from harness.crash import collect
from harness.crash.scene import Scene
from harness.errors import HarnessError, Lost
from harness.guest import cleanup, joined, shared_session
from harness.guest.domain import DomainState
from harness.guest.joined import JoinedGuest
from harness.guest.registry import GuestEntry
from harness.guest.session import QEMU_CONSOLE
from harness.guest.shared_session import SESSION_FILE, Handoff
from harness.host import config
from harness.model.crash import CRASHES, Cause, Crash
from harness.model.environment import Environment
from harness.model.settings import RunReport, Settings
from harness.panic.values import KernelReport
from harness.report import run_report
from harness.report.live_view import LiveView
from harness.runs import verdict


def explain(environment: Environment, run_id: str, view: LiveView) -> Crash | None:
    """Return the crash of a kept guest, or None for a guest without a problem.

    When a crash is returned, its folder and the report of the guest's run are written. `run_id` is
    the end of a run's name, or "" for the only guest.
    Raises: UsageError for a guest that does not exist, is gone, or is in use; ConfigError when the
        configuration file of its run is wrong; HypervisorError when libvirt does not know the
        guest.
    """
    entry = cleanup.choose_guest(environment.runtime, run_id)
    handoff = shared_session.read(entry.run / SESSION_FILE)
    settings = config.load(handoff.settings_file)
    earlier = _report_of(entry)
    explained = _survived(earlier)
    with joined.join(
        entry, handoff, settings, cache=environment.cache, explained=explained
    ) as guest:
        view.note(f"guest {entry.run_id}: looking for a problem")
        silence_s = guest.deadline(settings.timeouts.silence_s)
        error = joined.find_fault(guest, silence_s=silence_s)
        if error is None:
            return None
        crash = _collect(guest, error, _scene(guest, settings, environment.cache, view))
    run_report.write(_with_crash(earlier or _new_report(entry, handoff, error), crash))
    return crash


def _report_of(entry: GuestEntry) -> RunReport | None:
    """Return the report of the guest's run; None after kernel-test-load, which writes none."""
    try:
        return run_report.load(entry.run)
    except Lost:
        return None


def _survived(report: RunReport | None) -> tuple[KernelReport, ...]:
    """Return the faults that the kernel has reported and survived and that were explained before.

    They are not explained again.
    """
    crashes = report.crashes if report is not None else ()
    return tuple(one for crash in crashes if crash.cause is Cause.REPORT for one in crash.reports)


def _collect(guest: JoinedGuest, error: HarnessError, scene: Scene) -> Crash:
    """Explain the crash or hang of a kept guest, and resume the guest if it was running before.

    `error` says what is wrong with it, and `scene` has what the explanation needs.
    """
    ran = guest.domain.state() is DomainState.RUNNING
    known = collect.Circumstances(
        error=error,
        test=guest.watch.current_test,
        number=int(scene.folder.name),
        # Nobody has recorded what was done in a guest that was left up.
        reproduce="",
        facts={**guest.handoff.provenance.described(), "guest": "kept up, explained afterwards"},
    )
    try:
        return collect.collect(scene, known)
    finally:
        if ran and guest.domain.state() is DomainState.PAUSED:
            guest.domain.resume()


def _scene(guest: JoinedGuest, settings: Settings, cache: Path, view: LiveView) -> Scene:
    handoff, run = guest.handoff, guest.entry.run
    target = settings.targets[guest.entry.target]
    return Scene(
        session=guest,
        console_file=run / QEMU_CONSOLE,
        memory_mib=target.memory_mib,
        kernel=handoff.provenance.kernel or target.kernel,
        vmlinux=_vmlinux(handoff, cache),
        modules=handoff.modules,
        roots=settings.source_roots,
        folder=run / CRASHES / str(_next_number(run)),
        runs=run.parent,
        plugin=settings.module.drgn,
        vmcores=settings.vmcores,
        note=view.note,
        show=view.crash,
    )


def _vmlinux(handoff: Handoff, cache: Path) -> Path | None:
    """Return the vmlinux of the guest's kernel if the cache has it, else None."""
    known = handoff.provenance
    symbols = kernel_symbols.find_release(known.kernel_release, known.kernel_version, cache)
    return symbols.vmlinux if symbols is not None else None


def _next_number(run: Path) -> int:
    taken = (int(path.name) for path in (run / CRASHES).glob("*") if path.name.isdigit())
    return max(taken, default=0) + 1


def _with_crash(report: RunReport, crash: Crash) -> RunReport:
    """Return a run's report with a crash added; the verdict does not change.

    The verdict is about the tests, and this crash was found after them.
    """
    return replace(report, crashes=(*report.crashes, crash))


def _new_report(entry: GuestEntry, handoff: Handoff, error: HarnessError) -> RunReport:
    """Return a first report for a guest of kernel-test-load, whose run has none."""
    return RunReport(
        run_id=entry.run_id,
        target=entry.target,
        verdict=verdict.of_error(error),
        reason=error.message,
        accel=handoff.accel,
        deadline_factor=handoff.factor,
        started_at=datetime.fromtimestamp(entry.started_at, UTC).isoformat("T", "seconds"),
        duration_s=round(time.time() - entry.started_at, 2),
        folder=entry.run,
        provenance=handoff.provenance,
        hint=error.hint,
        evidence=error.evidence,
    )
