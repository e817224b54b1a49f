# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Decide the verdict of a run from its witnesses: passed, failed, crashed or lost. Pure.

The witnesses are the guest, its console and libvirt. A run passes only with positive evidence:
every planned test has a result, the guest itself reported a clean log, the console has shown the
line that was planted in the kernel's log and a heartbeat, libvirt saw no unwanted event. A witness
that says nothing never counts as a pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import HarnessError
from harness.model.settings import TestResult, Verdict
from harness.panic.values import KernelReport


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known at the end of a run, from which `decide` decides the verdict.

    `reports` are kernel reports that belong to no test. `error` is the error that ended the run
    early, or None. `guest_word`, `console_word` and `libvirt_word` are the objections of the
    guest's log check, the console and libvirt, "" for none.
    """

    results: tuple[TestResult, ...]
    reports: tuple[KernelReport, ...]
    guest_word: str
    console_word: str
    libvirt_word: str
    error: HarnessError | None = None


def decide(evidence: Evidence) -> tuple[Verdict, str]:
    """Return the verdict and the one sentence that gives its reason."""
    error = evidence.error
    if error is not None and of_error(error) is Verdict.CRASHED:
        return Verdict.CRASHED, error.message
    fatal = next((report for report in evidence.reports if report.fatal), None)
    if fatal is not None:
        return Verdict.CRASHED, fatal.title
    if error is not None:
        return of_error(error), error.message
    return _without_error(evidence)


def of_error(error: HarnessError) -> Verdict:
    """Return the verdict of a run that an error has ended: failed, crashed or lost."""
    if error.exit_code == Verdict.CRASHED.exit_code:
        return Verdict.CRASHED
    return Verdict.FAILED if error.exit_code == 1 else Verdict.LOST


def _without_error(evidence: Evidence) -> tuple[Verdict, str]:
    if evidence.console_word:
        return Verdict.LOST, f"the kernel log cannot be trusted: {evidence.console_word}"
    if evidence.libvirt_word:
        return Verdict.CRASHED, evidence.libvirt_word
    ran = [result for result in evidence.results if result.verdict is not Verdict.SKIPPED]
    if not ran:
        return Verdict.LOST, "no test ran"
    worst = _worst(ran)
    if worst is not None:
        return worst
    return _kernel_word(evidence) or (
        Verdict.PASSED,
        f"{len(ran)} tests passed, kernel log clean",
    )


def _kernel_word(evidence: Evidence) -> tuple[Verdict, str] | None:
    if evidence.reports:
        return Verdict.FAILED, f"the kernel reported: {evidence.reports[0].title}"
    if evidence.guest_word:
        return Verdict.LOST, f"the guest did not report a clean log: {evidence.guest_word}"
    return None


def _worst(ran: Sequence[TestResult]) -> tuple[Verdict, str] | None:
    for verdict in (Verdict.CRASHED, Verdict.LOST, Verdict.FAILED):
        bad = [result for result in ran if result.verdict is verdict]
        if bad:
            more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
            return verdict, f"{bad[0].name} {verdict.value}{more}"
    return None
