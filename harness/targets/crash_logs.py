# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Turn the crash logs that a target saved into kernel reports, as a console would give."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.model.requirement import CrashLog
from harness.model.settings import System
from harness.panic import darwin
from harness.panic.scan import scan
from harness.panic.values import KernelReport
from harness.symbols import dsym_files


def explain_logs(
    logs: Sequence[CrashLog],
    *,
    system: System,
    dsym: Path | None = None,
    roots: Sequence[Path] = (),
) -> tuple[KernelReport, ...]:
    """Return the kernel reports in the crash logs that a target saved.

    Frames of the kext get source lines if `dsym` has the UUID that the panic names.
    Raises: UsageError when the file `dsym` exists, but is not a dSYM.
    """
    found: list[KernelReport] = []
    for log in logs:
        if system is System.LINUX:
            found += [one for one in scan(log.text.split("\n")) if one.kind != "canary"]
        else:
            found += _of_macos(log, dsym, roots)
    return tuple(found)


def _of_macos(log: CrashLog, dsym: Path | None, roots: Sequence[Path]) -> Iterator[KernelReport]:
    known = (dsym,) if dsym is not None and dsym.exists() else ()
    for report in darwin.scan(log.text.splitlines()):
        named = replace(report, facts={**report.facts, "kept-as": log.name})
        dsyms = dsym_files.fitting(named, known)
        yield dsym_files.symbolise(named, dsyms, roots=roots)[0] if dsyms else named
