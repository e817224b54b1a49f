# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run `kernel-test` on a target that the user boots: load, test, unload, final log check, verdict.

The harness has no console and no hypervisor here. Every few seconds it asks the target over SSH
for its boot session. When the target is gone, the harness waits until it is back, and reads the
panic text that the target saved.
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import (
    GuestCrashed,
    GuestLost,
    HarnessError,
    NoTests,
    TestsBroken,
    UsageError,
)
from harness.guest import registry, shared_session
from harness.guest.shared_session import SESSION_FILE
from harness.model import build_folder
from harness.model.environment import Environment
from harness.model.limits import Timeouts
from harness.model.listed import ListedSuite
from harness.model.request import Selection
from harness.model.settings import (
    Accel,
    ModuleBuild,
    RunReport,
    Settings,
    TestResult,
    TestSpec,
    Verdict,
)
from harness.panic.values import KernelReport
from harness.report import run_folders
from harness.report.live_view import LiveView
from harness.runs import ledger, provenance, suites
from harness.runs.ledger import Listener, SuiteOutcome
from harness.runs.run_state import RunRecord
from harness.systems.platforms import PLATFORMS, SETUPS, Platform
from harness.systems.shell import CommandFailed
from harness.systems.ssh import Guest
from harness.targets import target_file, workflow
from harness.targets.crash_logs import explain_logs
from harness.targets.target_file import RemoteSpec
from harness.targets.workflow import Loading
from harness.test_kinds import chosen

_CONNECT_S = 30.0
_LOAD_S = 30.0
# Each question is a new connection over SSH, so it is not asked more often.
_ASK_EVERY_S = 5.0


@dataclass(frozen=True, kw_only=True)
class RemoteTest:
    """One run on a target: the module to load, and the suites to run."""

    loading: Loading
    settings: Settings
    environment: Environment
    suites: tuple[TestSpec, ...]
    selection: Selection
    run_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What a suite needs to know of the run: the folder for its log, and the deadlines."""

    folder: Path
    timeouts: Timeouts


class _Silent:
    """An empty console, in place of the console that a target of the user does not give."""

    def tail(self, count: int) -> tuple[str, ...]:
        """Return no lines."""
        del count
        return ()


@dataclass
class BootSession:
    """A check that the target has not been restarted since the run began, asked over SSH.

    `begun_in` is the boot session of that time. `said` are observations of other witnesses.
    """

    target: RemoteSpec
    guest: Guest
    begun_in: str
    asked_at: float = field(default_factory=time.monotonic)
    said: list[str] = field(default_factory=list)
    held: bool = False

    def check_unspoilt(self, running: str) -> None:
        """Do nothing: a target has no console in which a kernel report would be seen at once."""

    def note(self, name: str, words: str) -> None:
        """Append an observation about the target to `said`, as one line of text.

        `name` is the witness that observed it, for example "deadline". No report shows these lines
        yet.
        """
        self.said.append(f"{name}: {words}")

    def check(self) -> None:
        """Check that the target is still in the same boot session, at most once every few seconds.

        Raises: GuestLost when it does not answer; GuestCrashed when it has rebooted.
        """
        if time.monotonic() - self.asked_at < _ASK_EVERY_S:
            return
        setup = SETUPS[self.target.system]
        try:
            now = setup.boot_session(self.guest)
        except CommandFailed as error:
            raise GuestLost(f"{self.target.name} does not report its boot session") from error
        self.asked_at = time.monotonic()
        if now != self.begun_in:
            raise GuestCrashed(f"{self.target.name} was rebooted during the run")


@dataclass(frozen=True, kw_only=True)
class RemoteSession:
    """A target that the user boots, with the interface `Watched` by which a suite uses a guest."""

    request: _Asked
    guest: Guest
    health: BootSession
    console: _Silent = field(default_factory=_Silent)

    def deadline(self, seconds: float) -> float:
        """Return the time limit unchanged, because a target is not emulated."""
        return seconds

    def check_alive(self) -> None:
        """Check that the target is in the boot session in which the run began.

        Raises: GuestLost when the target does not answer; GuestCrashed when it has rebooted.
        """
        self.health.check()


def run(asked: RemoteTest, view: LiveView) -> RunReport:
    """Run the tests once on a target, write the files of the report, and return it.

    Raises: UsageError when no suite is configured for the target's system, for a selection without
        a test and for a run id that exists; Lost when the disk is full; RunInterrupted after a
        Ctrl-C.
    """
    target = asked.loading.target
    if not asked.suites:
        raise UsageError(
            f"no suite is configured for {target.system.value}",
            hint=f'[[tool.harness.tests]] with system = "{target.system.value}"',
        )
    view.stage("list tests")
    build = build_folder.within(asked.settings.root)
    try:
        listed = chosen.choose(asked.suites, asked.selection, build=build)
    except (TestsBroken, NoTests) as broken:
        return _record(asked, view).finish(broken)
    record = _record(asked, view)
    error: HarnessError | None = None
    known: tuple[str, ...] = ()
    session = ""
    with record.reporting_interrupts():
        try:
            with target_file.connect(target, deadline_s=_CONNECT_S) as guest:
                setup = SETUPS[target.system]
                # Panics that the target saved before this run are not charged to it.
                session, known = setup.boot_session(guest), setup.panic_reports(guest)
                _stages(asked, listed, guest, record, session)
            error = record.outcome.error
        except HarnessError as raised:
            error = raised
    # Without a boot session the target was never reached, so it cannot have died of the run.
    if isinstance(error, GuestLost | GuestCrashed) and session:
        error = _post_mortem(asked, record, error, session=session, known=known)
    return record.finish(error)


def _record(asked: RemoteTest, view: LiveView) -> RunRecord:
    run_id = asked.run_id or registry.new_run_id()
    folder = run_folders.create(build_folder.runs(asked.settings.root), run_id)
    target = asked.loading.target
    return RunRecord(
        run_id=run_id,
        target=target.name,
        folder=folder,
        view=view,
        accel=Accel.OWN,
        provenance=provenance.of_project(asked.settings.root, asked.selection),
        console_word="",
        facts={"target": f"{target.user}@{target.host}:{target.port}, {target.system.value}"},
    )


def _stages(
    asked: RemoteTest,
    listed: Sequence[ListedSuite],
    guest: Guest,
    record: RunRecord,
    session: str,
) -> None:
    target, spec = asked.loading.target, asked.loading.spec
    platform, token = PLATFORMS[target.system], secrets.token_hex(8)
    build = workflow.module_build(asked.loading.file, spec)
    with record.stage("load"):
        platform.prepare(guest, run_id=record.run_id, canary=token)
        platform.push_modules(guest, [(build, spec)], deadline_s=_LOAD_S)
        platform.load(guest, spec, deadline_s=_LOAD_S)
        shared_session.write(_handoff(asked, record, build), record.folder / SESSION_FILE)
    remote = RemoteSession(
        request=_Asked(folder=record.folder, timeouts=asked.settings.timeouts),
        guest=guest,
        health=BootSession(target=target, guest=guest, begun_in=session),
    )
    _run_suites(asked, listed, remote, record)
    if record.outcome.error is None:
        _close(asked, guest, record, platform, token)


def _run_suites(
    asked: RemoteTest, listed: Sequence[ListedSuite], remote: RemoteSession, record: RunRecord
) -> None:
    def take(result: TestResult) -> None:
        record.add(result)
        record.view.test(result)

    listener = Listener(
        on_start=record.view.running,
        on_result=take,
        on_expect=record.expected.__setitem__,
        on_plan=record.view.plan,
    )
    found: list[SuiteOutcome] = []
    for suite in listed:
        name = suite.spec.name
        with record.stage(f"tests: {name}"):
            outcome = suites.run_suite(
                suite,
                remote,
                long=asked.selection.long,
                session_file=record.folder / SESSION_FILE,
                listener=listener,
            )
        error = outcome.error or _cut_off(outcome, name)
        lost = ledger.lost(outcome.unreached, name) if error else ()
        found.append(replace(outcome, results=(*outcome.results, *lost)))
        results = tuple(result for one in found for result in one.results)
        record.outcome = SuiteOutcome(results=results, error=error, running=outcome.running)
        if error is not None:
            return


def _cut_off(outcome: SuiteOutcome, suite: str) -> GuestLost | None:
    """Return GuestLost if a test was running when the suite ended without an error, else None.

    pytest ends so when the connection to the target is lost.
    """
    if not outcome.running:
        return None
    return GuestLost(f"{suite} ended during {outcome.running}")


def _close(
    asked: RemoteTest, guest: Guest, record: RunRecord, platform: Platform, token: str
) -> None:
    spec = asked.loading.spec
    with record.stage("unload"):
        if platform.is_loaded(guest, spec):
            platform.unload(guest, spec, deadline_s=_LOAD_S, attempts=5)
    with record.stage("final log check"):
        said = platform.last_word(guest, token)
        record.guest_word = said[0] if said else ""


def _handoff(asked: RemoteTest, record: RunRecord, build: ModuleBuild) -> shared_session.Handoff:
    target = asked.loading.target
    return shared_session.Handoff(
        run_id=record.run_id,
        settings_file=asked.settings.file,
        target=target.name,
        accel=Accel.OWN,
        factor=1.0,
        folder=record.folder,
        console=record.folder / "console.log",
        endpoint=target_file.endpoint(target),
        build=build,
        variants={},
        system=target.system,
    )


def _post_mortem(
    asked: RemoteTest,
    record: RunRecord,
    error: HarnessError,
    *,
    session: str,
    known: Sequence[str],
) -> HarnessError:
    """Return the reason why the run ended: a panic that the target has saved, or else `error`.

    `session` is the boot session in which the run began. If the target has left it, this waits
    until the target is back, and reads what it has saved. `known` are the panics that it had saved
    before the run. A new panic is written to panic.txt, and the test that was running has crashed.
    """
    target = asked.loading.target
    running = record.outcome.running
    if _still_there(target, session):
        return error
    with record.stage("post-mortem"):
        try:
            workflow.wait_for_another_session(target, session)
            reports = _kept(asked, known)
        except HarnessError as lost:
            record.view.note(f"nothing can be read from it: {lost.message}")
            return error
    if not reports:
        return error
    record.reports = tuple(replace(one, test=running) for one in reports)
    results = tuple(
        replace(one, verdict=Verdict.CRASHED, reason=reports[0].title)
        if one.name == running
        else one
        for one in record.outcome.results
    )
    record.outcome = replace(record.outcome, results=results)
    (record.folder / "panic.txt").write_text("\n".join(reports[0].text) + "\n")
    return GuestCrashed(reports[0].title, evidence=reports[0].text[:20])


def _still_there(target: RemoteSpec, session: str) -> bool:
    """Return whether the target answers and has not been restarted since the run began."""
    try:
        with target_file.connect(target, deadline_s=_ASK_EVERY_S) as guest:
            return SETUPS[target.system].boot_session(guest) == session
    except (GuestLost, CommandFailed):
        return False


def _kept(asked: RemoteTest, known: Sequence[str]) -> tuple[KernelReport, ...]:
    target = asked.loading.target
    with target_file.connect(target, deadline_s=_CONNECT_S) as guest:
        logs = SETUPS[target.system].crash_logs(guest, known=known)
    return explain_logs(
        logs, system=target.system, dsym=asked.loading.dsym, roots=(asked.settings.root,)
    )
