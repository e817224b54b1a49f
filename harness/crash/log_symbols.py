# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Explain a log with the symbol files of its kernel, which add files and lines to the frames.

This module is separate from `explain_log` because importing the ELF and DWARF readers takes longer
than explaining most logs.
"""

from collections.abc import Sequence
from pathlib import Path

from harness.crash.explain_log import Explained, explain_files
from harness.errors import UsageError
from harness.panic.values import KernelReport
from harness.symbols import dsym_files
from harness.symbols.symbolizer import Symbolizer


def explain_with_symbols(
    files: Sequence[Path], *, modules: Sequence[Path], vmlinux: Path | None
) -> tuple[Explained, tuple[str, ...]]:
    """Return every report of a log with files and lines, and notes on unresolved frames.

    Shape: a module's symbols are found by file name, with debug information beside the '.ko'; a
        kext's dSYM is found by the UUID that a panic of macOS prints.
    Raises: UsageError for a log or a symbol file that cannot be read.
    """
    dsyms = tuple(path for path in modules if path.suffix == ".dSYM")
    elves = tuple(path for path in modules if path not in dsyms)
    for one in (*elves, *((vmlinux,) if vmlinux else ())):
        if not one.is_file():
            raise UsageError(f"{one}: no such file", hint="an ELF file with debug information")
    named = {path.name.partition(".ko")[0]: path for path in elves}
    with Symbolizer(named, vmlinux) as symbolizer:

        def decorate(report: KernelReport) -> KernelReport:
            ours = dsym_files.fitting(report, dsyms)
            return dsym_files.symbolise(report, ours)[0] if ours else symbolizer.report(report)

        return explain_files(files, decorate=decorate), symbolizer.notes
