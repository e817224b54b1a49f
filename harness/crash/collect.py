# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""From a guest that has come to a bad end to a Crash: seen by whom, what, where, in whose code.

    speak (a hang) -> last words -> stop the guest -> memory read -> explained -> vmcore -> files

What cannot be had (no symbols, a full disk, a guest that is gone) becomes a note in the Crash;
collecting evidence never ends a run.
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from harness.crash import blame, crash_text, memory_evidence
from harness.crash.hang_dump import Answer, interrogate
from harness.crash.scene import Scene
from harness.errors import (
    GuestCrashed,
    GuestGone,
    GuestHung,
    HarnessError,
    HypervisorDied,
    HypervisorError,
    KernelComplained,
    TestOverdue,
)
from harness.guest.domain import DomainState
from harness.guest.session import CONSOLE
from harness.memory import memory_text
from harness.memory.values import MemoryView
from harness.model.crash import Cause, Crash
from harness.panic import hangs
from harness.panic.causes import by_onset
from harness.panic.scan import scan
from harness.panic.signature import signature
from harness.panic.task_dump import blocked
from harness.panic.values import KernelReport
from harness.symbols.symbolizer import Symbolizer

_LAST_LINES = 15
# The most specific first: GuestHung and GuestGone are GuestCrashed, too.
_CAUSES: tuple[tuple[type[HarnessError], Cause], ...] = (
    (KernelComplained, Cause.REPORT),
    (TestOverdue, Cause.OVERDUE),
    (GuestHung, Cause.HANG),
    (GuestGone, Cause.GONE),
    (GuestCrashed, Cause.PANIC),
    (HypervisorDied, Cause.QEMU),
)


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What the run knows of a bad end: what ended it, during which test, which one it is.

    For `held_s` seconds a person had the guest in a debugger.
    """

    error: HarnessError
    test: str
    number: int
    reproduce: str
    held_s: float = 0.0
    facts: dict[str, str] = field(default_factory=dict)


def collect(scene: Scene, known: Circumstances) -> Crash:
    """Return everything that is to be known of one bad end; its folder is complete then.

    The guest is stopped at the end and is not to be used any more.
    """
    live = scene.session
    first_at = live.liveness.first_sign_at + known.held_s
    folder = scene.folder
    folder.mkdir(parents=True)
    cause = next((one for kind, one in _CAUSES if isinstance(known.error, kind)), None)
    found = Crash(
        number=known.number,
        cause=cause or Cause.UNREACHABLE,
        kind="",
        title=known.error.message,
        signature="",
        folder=folder,
        test=known.test,
        reproduce=known.reproduce,
    )
    answer = _made_to_speak(scene, found)
    live.liveness.settle()
    still = not _is_kept(scene, found) and _stopped(scene)
    view = memory_evidence.look(scene) if still else MemoryView()
    found = memory_evidence.with_source(_described(found, scene, answer, view), scene)
    found = memory_evidence.with_memory(found, view) if still else found
    found = blame.judge(found, scene.modules, known.error)
    found = replace(
        found,
        signature=signature(_main(found)) if found.reports else _signature_of_cause(found),
        witnesses=live.liveness.witnesses(),
        explained_s=round(time.monotonic() - first_at, 1),
    )
    scene.show(crash_text.screen(found))
    found = (
        memory_evidence.with_vmcore(found, scene)
        if still
        else memory_evidence.without_vmcore(found)
    )
    shutil.copyfile(scene.session.request.folder / CONSOLE, folder / CONSOLE)
    found = replace(found, took_s=round(time.monotonic() - first_at, 1))
    crash_text.write(found, known.facts)
    return found


def _made_to_speak(scene: Scene, found: Crash) -> Answer:
    """Return what a guest that stands still says of itself, () for any other."""
    if found.cause not in {Cause.HANG, Cause.OVERDUE, Cause.UNREACHABLE}:
        return Answer(way="", lines=())
    scene.note("asking the guest's kernel what it is doing")
    live = scene.session
    told = any(
        hangs.spins(one.kind) for one in live.watch.reports if not live.liveness.is_allowed(one)
    )
    return interrogate(live, told=told)


def _is_kept(scene: Scene, found: Crash) -> bool:
    """Return whether somebody wants to go on with this guest, and it can."""
    return scene.keep and found.cause is Cause.REPORT


def _stopped(scene: Scene) -> bool:
    """Stop the guest's CPUs; return whether there is a guest whose memory can be read."""
    domain = scene.session.domain
    try:
        state = domain.state()
        if state is DomainState.RUNNING:
            domain.suspend()
    except HypervisorError:
        return False
    return state in {DomainState.RUNNING, DomainState.PAUSED, DomainState.CRASHED}


def _described(found: Crash, scene: Scene, answer: Answer, view: MemoryView) -> Crash:
    """Return the crash with the kernel's reports, decoded, and what a hang's tasks were doing.

    What the console did not get, `view` may have from the kernel's memory.
    """
    live = scene.session
    reports = [one for one in live.watch.reports if not live.liveness.is_allowed(one)]
    notes: list[str] = []
    if found.cause is Cause.PANIC and not reports:
        reports = [one for one in scan(view.log) if one.fatal][-1:]
        notes.append("the console did not say it: read from the kernel's log in its memory")
    if found.cause in {Cause.HANG, Cause.OVERDUE, Cause.UNREACHABLE}:
        way = {"ssh": "sysrq over SSH", "serial": "sysrq over its console", "nmi": "an NMI"}
        said = way.get(answer.way, "")
        notes.append(f"the guest answered to {said}" if said else "the guest answered to nothing")
        found = replace(found, answered=answer.way)
        reports += standing_still(answer, view, tuple(scene.modules), reports)
    symbols = Symbolizer(scene.modules, vmlinux=memory_evidence.vmlinux(scene), roots=scene.roots)
    with symbols:
        reports = [symbols.report(one) for one in by_onset(reports)]
        notes += symbols.notes
    found = replace(found, reports=tuple(reports), notes=tuple(notes))
    found = replace(found, last_lines=_last_lines(scene, reports))
    if not reports:
        return replace(found, kind=found.cause.value)
    main = _main(found)
    return replace(
        found,
        kind=main.kind,
        title=main.title,
        function=main.function,
        place=main.place,
        module=main.module,
        test=main.test or found.test,
    )


def standing_still(
    answer: Answer, view: MemoryView, modules: Sequence[str], known: Sequence[KernelReport]
) -> list[KernelReport]:
    """Return who stands still in a hang: as the kernel says it, else as its memory shows it.

    () where a watchdog has said so. Where it named a stranger, who may wait for a module's task,
    that task is still looked for.
    """
    hung = [one for one in known if one.kind == "hung-task"]
    if any(frame.module in modules for one in hung for frame in one.frames):
        return []
    said = blocked(answer.lines, modules)
    if said is None or said.module not in modules:
        said = memory_text.standstill(view, modules) or said
    if said is None or (hung and said.module not in modules):
        return []
    return [said]


def _main(found: Crash) -> KernelReport:
    """Return the report that the crash is named after: the first that follows from no other."""
    own = [one for one in found.reports if one.follows is None]
    return (own or list(found.reports))[0]


def _last_lines(scene: Scene, reports: Sequence[KernelReport]) -> tuple[str, ...]:
    """Return the console's last lines before the first report, or its end where there is none."""
    live = scene.session
    end = min((one.line for one in reports if one.line), default=None)
    lines = [line.text for line in live.console.lines_since(0)]
    plain = [text for text in lines[:end] if "harness-heartbeat" not in text]
    return tuple(plain[-_LAST_LINES:])


def _signature_of_cause(found: Crash) -> str:
    """Return the signature of an end that the kernel said nothing about: what, and when."""
    nothing = KernelReport(kind=found.cause.value, title="", line=0, text=(), function=found.test)
    return signature(nothing)
