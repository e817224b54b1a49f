# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Turn a guest that crashed or hangs into a Crash: what happened, where, in whose code.

ask the kernel (a hang) -> wait for its last lines -> stop the guest -> read its memory
-> reports -> relate -> add files and lines -> blame -> Crash -> show -> dump -> files

Evidence that cannot be collected (missing symbols, a full disk, a guest that is gone) becomes a
note in the Crash. Collecting evidence never ends a run.
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from harness.crash import blame, crash_text, memory_evidence
from harness.crash.hang_dump import Answer, ask_for_all_tasks, interrogate
from harness.crash.memory_evidence import Dump
from harness.crash.scene import Scene
from harness.errors import (
    GuestCrashed,
    GuestGone,
    GuestHung,
    HarnessError,
    HypervisorDied,
    HypervisorError,
    KernelComplained,
    Lost,
    TestOverdue,
)
from harness.guest.domain import DomainState
from harness.guest.session import CONSOLE
from harness.host import cache
from harness.memory import memory_text
from harness.memory.values import MemoryView
from harness.model.crash import Cause, Crash
from harness.panic import hangs
from harness.panic.causes import main_report, related
from harness.panic.scan import scan
from harness.panic.signature import signature
from harness.panic.task_dump import blocked
from harness.panic.values import KernelReport
from harness.symbols.symbolizer import Symbolizer, source_lines

# More lines would push the report off the screen; the whole console is in the run's folder.
_LAST_LINES = 15
# The most specific class comes first: GuestHung and GuestGone are subclasses of GuestCrashed.
_CAUSES: tuple[tuple[type[HarnessError], Cause], ...] = (
    (KernelComplained, Cause.REPORT),
    (TestOverdue, Cause.OVERDUE),
    (GuestHung, Cause.HANG),
    (GuestGone, Cause.GONE),
    (GuestCrashed, Cause.PANIC),
    (HypervisorDied, Cause.QEMU),
)
# In these cases the kernel may have logged nothing, so the kernel is asked for its tasks.
_SILENT = frozenset({Cause.HANG, Cause.OVERDUE, Cause.UNREACHABLE})
_WAYS = {"ssh": "sysrq over SSH", "serial": "sysrq over its console", "nmi": "an NMI"}


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """The error that ended the guest, the test that ran, and the crash's number in the run.

    `reproduce` is the command that repeats the run, "" if unknown. `held_s` is the time in seconds
    for which a person had stopped the guest in a debugger. `facts` are further texts for the bug
    mail, by name.
    """

    error: HarnessError
    test: str
    number: int
    reproduce: str
    held_s: float = 0.0
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def cause(self) -> Cause:
        """The way in which the crash or hang was detected."""
        kinds = (cause for kind, cause in _CAUSES if isinstance(self.error, kind))
        return next(kinds, Cause.UNREACHABLE)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The evidence gathered before any conclusion: the guest's answers and a view of its memory.

    `halted`: the guest's CPUs are stopped, so that its memory can be read and dumped.
    """

    answer: Answer
    view: MemoryView
    halted: bool


@dataclass(frozen=True, kw_only=True)
class Account:
    """The kernel's reports of one crash or hang, in order, with file, line, and notes on them."""

    reports: tuple[KernelReport, ...]
    notes: tuple[str, ...]


def collect(scene: Scene, known: Circumstances) -> Crash:
    """Collect everything about one crash or hang into its folder, and return it as a Crash.

    The folder must not exist yet. At the end the guest's CPUs are stopped; with `scene.keep`, a
    guest whose kernel only reported a fault continues.
    When the disk is full, files are missing there, and a note in the Crash says so.
    Raises: Lost when the disk has no room even for an empty folder.
    """
    first_at = scene.session.health.first_sign_at + known.held_s
    with cache.room(scene.folder.parent):
        scene.folder.mkdir(parents=True)
    evidence = _gather(scene, known.cause)
    account = _account(scene, known.cause, evidence)
    crash = _crash(scene, known, evidence, account, first_at)
    scene.show(crash_text.screen(crash))
    # The dump takes seconds, so it comes after the screen.
    dump = memory_evidence.dump(scene) if evidence.halted else _no_dump(scene, known.cause)
    took_s = round(time.monotonic() - first_at, 1)
    complete = replace(crash, vmcore=dump.file, vmcore_note=dump.note, took_s=took_s)
    return save(scene, complete, known.facts)


def save(scene: Scene, crash: Crash, facts: dict[str, str]) -> Crash:
    """Write a crash's texts and a copy of the console into its folder, and return the crash.

    `facts` are further texts for the bug mail, by name. If the disk is full, the returned crash
    has a note on it.
    """
    try:
        # The report is the smaller and the more useful one, so it is written first.
        crash_text.write(crash, facts)
        with cache.room(scene.folder):
            shutil.copyfile(scene.console_file, scene.folder / CONSOLE)
    except Lost as error:
        note = f"the crash's folder is incomplete: {error.message}"
        scene.note(note)
        return replace(crash, notes=(note, *crash.notes))
    return crash


def _gather(scene: Scene, cause: Cause) -> Evidence:
    """Return the evidence that a dead or hanging guest can still give.

    After a hang, an overdue test or a lost connection the kernel is first asked for its tasks.
    Then the guest is stopped and its memory is read, unless the kernel only reported a fault and
    `scene.keep` lets the guest continue.
    """
    answer = _ask(scene) if cause in _SILENT else Answer(way="", lines=())
    scene.session.health.settle()
    halted = not _goes_on(scene, cause) and _halt(scene)
    view = memory_evidence.look(scene) if halted else MemoryView()
    return Evidence(answer=answer, view=view, halted=halted)


def _goes_on(scene: Scene, cause: Cause) -> bool:
    """Return whether the guest continues after its crash was explained.

    It does if its kernel only reported a fault and the caller wants to keep it (`scene.keep`).
    """
    return scene.keep and cause is Cause.REPORT


def _no_dump(scene: Scene, cause: Cause) -> Dump:
    """Return a Dump that says why the memory was not dumped: the guest continues, or is gone."""
    gone = "the guest is gone, and its memory with it"
    return Dump(file="", note=f"none: {'the guest continues' if _goes_on(scene, cause) else gone}")


def _ask(scene: Scene) -> Answer:
    """Ask the hanging guest's kernel what its tasks and CPUs are doing, and return its answer."""
    scene.note("asking the guest's kernel what it is doing")
    live = scene.session
    spins = any(hangs.spins(one.kind) for one in live.watch.reports)
    answer = interrogate(live, spins=spins)
    waiting = blocked(answer.lines, tuple(scene.modules))
    if spins or (waiting is not None and waiting.module in scene.modules):
        return answer
    scene.note("no blocked task is in the module, so the kernel is asked for all of its tasks")
    return ask_for_all_tasks(live, answer)


def _halt(scene: Scene) -> bool:
    """Stop the guest's CPUs; return whether there is a guest whose memory can be read."""
    domain = scene.session.domain
    try:
        state = domain.state()
        if state is DomainState.RUNNING:
            domain.suspend()
    except HypervisorError:
        return False
    # libvirt keeps a crashed guest with its memory, because its XML has on_crash=preserve.
    return state in {DomainState.RUNNING, DomainState.PAUSED, DomainState.CRASHED}


def _account(scene: Scene, cause: Cause, evidence: Evidence) -> Account:
    """Return the kernel's reports of a crash and, if the guest hangs, the tasks without progress.

    After an overdue test or a lost connection, only those of these tasks that stand in the module
    under test are taken. For a panic without a report on the console, the last fatal report of the
    kernel's log in memory is taken.
    """
    answer, view = evidence.answer, evidence.view
    reports = related(scene.session.watch.reports)
    notes: list[str] = []
    if cause is Cause.PANIC and not reports:
        reports = tuple(one for one in scan(view.log) if one.fatal)[-1:]
        notes.append("not on the console: read from the kernel's log in memory")
    if cause in _SILENT:
        way = _WAYS.get(answer.way, "nothing")
        notes.append(f"the guest answered to {way}")
        standing = standing_still(answer, view, tuple(scene.modules), reports)
        # A kernel that still beats has tasks that wait a moment; only the module's are unusual.
        silent = cause is Cause.HANG
        reports += tuple(one for one in standing if silent or one.module in scene.modules)
    with Symbolizer(scene.modules, vmlinux=scene.vmlinux, roots=scene.roots) as symbols:
        decorated = tuple(symbols.report(one) for one in reports)
        notes += [one.facts["inferred"] for one in decorated if "inferred" in one.facts]
        notes += symbols.notes
    return Account(reports=decorated, notes=(*notes, *view.problems))


def standing_still(
    answer: Answer, view: MemoryView, modules: Sequence[str], known: Sequence[KernelReport]
) -> tuple[KernelReport, ...]:
    """Return a report on the task that hangs, from the kernel's own answer or from its memory.

    The result is empty when no task is found, or when a watchdog has already reported a task of
    the module. When a watchdog has reported only other tasks, which may wait for a task of the
    module, the result can only be a task of the module.
    """
    hung = [one for one in known if one.kind == "hung-task"]
    if any(frame.module in modules for one in hung for frame in one.frames):
        return ()
    waiting = blocked(answer.lines, modules)
    if waiting is None or waiting.module not in modules:
        waiting = memory_text.standstill(view, modules) or waiting
    if waiting is None or (hung and waiting.module not in modules):
        return ()
    return (waiting,)


def _crash(
    scene: Scene, known: Circumstances, evidence: Evidence, account: Account, first_at: float
) -> Crash:
    """Return the Crash that follows from the evidence, before its memory dump is written."""
    cause, way, view = known.cause, evidence.answer.way, evidence.view
    suspicion = blame.Suspicion(cause=cause, reports=account.reports, answered=way)
    judgement = blame.judge(suspicion, scene.modules, known.error)
    main = main_report(account.reports) or _silent_end(known)
    return Crash(
        number=known.number,
        cause=cause,
        kind=main.kind,
        title=main.title or known.error.message,
        signature=signature(main),
        folder=scene.folder,
        test=main.test or known.test,
        function=main.function if account.reports else "",
        place=main.place,
        module=main.module,
        blame=judgement.blame,
        blame_why=judgement.why,
        witnesses=scene.session.health.witnesses(),
        reports=account.reports,
        last_lines=_last_lines(scene, evidence.answer, account.reports),
        source=source_lines(main.place, scene.roots) if main.place else (),
        memory=memory_evidence.write(scene, view, main.function) if evidence.halted else (),
        notes=account.notes,
        answered=way,
        reproduce=known.reproduce,
        explained_s=round(time.monotonic() - first_at, 1),
    )


def _silent_end(known: Circumstances) -> KernelReport:
    """Return a report for a guest whose kernel logged nothing.

    Its kind is the way in which the end was detected, and its function the test that ran.
    """
    return KernelReport(kind=known.cause.value, title="", line=0, text=(), function=known.test)


def _last_lines(scene: Scene, answer: Answer, reports: Sequence[KernelReport]) -> tuple[str, ...]:
    """Return the last lines on the console before the first report, without heartbeats.

    Without a report that has a line on the console, they are the last lines before the kernel was
    asked for its tasks. If the kernel was not asked either, they are the console's end.
    """
    asked_at = answer.begun or None
    end = min((one.line for one in reports if one.line), default=asked_at)
    lines = [line.text for line in scene.session.console.lines_since(0)]
    plain = [text for text in lines[:end] if "harness-heartbeat" not in text]
    return tuple(plain[-_LAST_LINES:])
