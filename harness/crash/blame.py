# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Decide from the evidence whose fault a crash is: the module's, the kernel's or the harness's.

The reason is always given with the decision. A fault of the harness or its host is never blamed on
the module. When the evidence names nobody, the answer is 'undecided', and a control run without
the module can decide.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from harness.errors import HarnessError
from harness.model.crash import Blame, Cause, Crash
from harness.panic import hangs
from harness.panic.values import KernelReport

_HINT = "repeat it with --control: a crash that also happens without the module is the kernel's"


@dataclass(frozen=True, kw_only=True)
class Suspicion:
    """The facts that decide who is to blame: the way a crash was noticed, the kernel's reports.

    `answered` is the way (ssh, serial or nmi) by which a hanging guest still answered, "" if it
    did not.
    """

    cause: Cause
    reports: tuple[KernelReport, ...]
    answered: str = ""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The decision whose fault a crash is, and the reason in words."""

    blame: Blame
    why: str


def judge(known: Suspicion, modules: Collection[str], error: HarnessError) -> Judgement:
    """Return who is to blame for a guest's crash or hang, with the reason.

    It is the module, the harness, or undecided; only `controlled` blames the kernel. `modules` are
    the names of the modules under test, spelled as the kernel spells them. `error` is the error by
    which the harness noticed the crash or hang.
    """
    if known.cause is Cause.QEMU:
        why = f"{error.message}: the guest did nothing wrong"
        return Judgement(blame=Blame.HARNESS, why=why)
    named = next((one for one in known.reports if one.module in modules), None)
    if named is not None:
        where = named.function or named.title
        why = f"it happened in {where} [{named.module}]"
        return Judgement(blame=Blame.MODULE, why=why)
    through = _through(known.reports, modules)
    if through:
        return Judgement(blame=Blame.MODULE, why=f"its code is in the report: {through}")
    excuse = _excuse(known)
    if excuse:
        return Judgement(blame=Blame.HARNESS, why=excuse)
    why = f"no frame and no data of {' or '.join(sorted(modules))} in any report; {_HINT}"
    if known.cause is Cause.OVERDUE and not known.reports:
        why = "no task hangs in the module: the test itself waits"
    return Judgement(blame=Blame.UNDECIDED, why=why)


def _excuse(known: Suspicion) -> str:
    """Return why the host or its connection to the guest caused a crash or hang, or ""."""
    if known.cause is Cause.UNREACHABLE:
        return "SSH was lost, but the guest's kernel is healthy"
    stalled = any(hangs.sleeps(one.kind) or hangs.spins(one.kind) for one in known.reports)
    if known.cause is Cause.HANG and known.answered == "ssh" and not stalled:
        return "the guest answers over SSH: its console has stopped, but its kernel runs"
    return ""


def controlled(crash: Crash, control: Crash | None) -> Crash:
    """Return the crash with its blame revised by a control run without the module.

    `control` is the crash of that run, None if it had none. A control crash with the same
    signature makes the kernel to blame. Otherwise the blame stays, and its reason names the
    control run's result.
    """
    if control is None:
        return replace(
            crash, blame_why=f"{crash.blame_why}; without the module the guest did not crash"
        )
    if control.signature == crash.signature:
        why = "the guest ended in the same way without the module"
        return replace(crash, blame=Blame.KERNEL, blame_why=why)
    why = f"{crash.blame_why}; without the module the guest ended in another way: {control.title}"
    return replace(crash, blame_why=why)


def _through(reports: Collection[KernelReport], modules: Collection[str]) -> str:
    """Return the innermost reliable frame of the reports that is in one of the modules, or "".

    Shape: 'function [module]'.
    """
    for report in reports:
        for frame in report.frames:
            if frame.module in modules and frame.reliable:
                return f"{frame.function} [{frame.module}]"
    return ""
