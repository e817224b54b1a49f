# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Whose fault a crash is, from evidence, which is always said: the module's, the kernel's, ours.

A fault of the harness or of its host is never put on the module. Where the evidence names nobody,
the answer is 'undecided', and a control run without the module can decide.
"""

from collections.abc import Collection
from dataclasses import replace

from harness.errors import HarnessError
from harness.model.crash import Blame, Cause, Crash
from harness.panic import hangs
from harness.panic.values import KernelReport

_HINT = "repeat it with --control: the same end without the module is the kernel's own"


def judge(found: Crash, modules: Collection[str], error: HarnessError) -> Crash:
    """Return the crash with blame and the evidence for it.

    `modules` are the names of the modules under test, as the kernel knows them.
    """
    if found.cause is Cause.QEMU:
        return _blamed(found, Blame.HARNESS, f"{error.message}: the guest did nothing wrong")
    named = next((one for one in found.reports if one.module in modules), None)
    if named is not None:
        where = named.function or named.title
        return _blamed(found, Blame.MODULE, f"{where} [{named.module}] is where it happened")
    through = _through(found.reports, modules)
    if through:
        return _blamed(found, Blame.MODULE, f"its code is in the report: {through}")
    excuse = _excuse(found)
    if excuse:
        return _blamed(found, Blame.HARNESS, excuse)
    why = f"no frame and no data of {' or '.join(sorted(modules))} in any report; {_HINT}"
    if found.cause is Cause.OVERDUE and not found.reports:
        why = "nothing of the module stands still: the test itself waits"
    return _blamed(found, Blame.UNDECIDED, why)


def _excuse(found: Crash) -> str:
    """Return why the host and its ways to the guest are at fault, or ""."""
    if found.cause is Cause.UNREACHABLE:
        return "SSH was lost while the guest's kernel was well"
    stalled = any(hangs.sleeps(one.kind) or hangs.spins(one.kind) for one in found.reports)
    if found.cause is Cause.HANG and found.answered == "ssh" and not stalled:
        return "the guest answers over SSH: its console has stopped, not its kernel"
    return ""


def controlled(found: Crash, control: Crash | None) -> Crash:
    """Return the crash with the blame that a control run without the module decides."""
    if control is None:
        return replace(found, blame_why=f"{found.blame_why}; without the module nothing crashed")
    if control.signature == found.signature:
        return _blamed(found, Blame.KERNEL, "the same end came without the module, too")
    why = f"{found.blame_why}; without the module another end came: {control.title}"
    return replace(found, blame_why=why)


def _blamed(found: Crash, blame: Blame, why: str) -> Crash:
    return replace(found, blame=blame, blame_why=why)


def _through(reports: Collection[KernelReport], modules: Collection[str]) -> str:
    """Return the innermost frame of a module in any stack of any report, as function [module]."""
    for report in reports:
        for frame in report.frames:
            if frame.module in modules and frame.reliable:
                return f"{frame.function} [{frame.module}]"
    return ""
