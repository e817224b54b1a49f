# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Explain a log with the symbol files of its kernel: a report's frames get files and lines.

It is apart from `explain_log`, because what reads ELF and DWARF takes longer to load than most
logs take to explain.
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
    """Return every report of a log with files and lines, and what could not be looked up.

    Shape: a module is known by the name of its file, debug information beside the '.ko' included;
    a kext's dSYM by its UUID, which a panic of macOS names.
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
