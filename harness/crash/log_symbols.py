# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Explain a log with the symbol files of its kernel, which add files and lines to the frames.

This module is separate from `explain_log` because importing the ELF and DWARF readers takes longer
than explaining most logs.
"""

from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path

from harness.crash.explain_log import Explained, explain_files
from harness.errors import UsageError
from harness.panic.values import KernelReport
from harness.symbols import debuginfod, dsym_files
from harness.symbols.symbolizer import Symbolizer


def explain_with_symbols(
    files: Sequence[Path],
    *,
    modules: Sequence[Path],
    vmlinux: Path | None,
    from_server: bool = False,
) -> tuple[Explained, tuple[str, ...]]:
    """Return the reports of a log with files and lines, and notes on unresolved frames.

    `modules` are ELF files with debug information, whose names begin with NAME.ko, and dSYM
    bundles. A module's file is found by its name, a kext's dSYM by the UUID that a panic of macOS
    prints. With `from_server`, what is missing is fetched from debuginfod by the build ids in the
    reports.
    Raises: UsageError for a log that cannot be read, a symbol file that does not exist, a dSYM
        that is none, and a program that is not installed.
    """
    dsyms = tuple(path for path in modules if path.suffix == ".dSYM")
    elves = tuple(path for path in modules if path not in dsyms)
    for one in (*elves, *((vmlinux,) if vmlinux else ())):
        if not one.is_file():
            raise UsageError(f"{one}: no such file", hint="an ELF file with debug information")
    named = {path.name.partition(".ko")[0]: path for path in elves}
    found = explain_files(files)
    given = {*named, *([""] if vmlinux else [])}
    fetched, notes = _fetched(found, given) if from_server else ({}, ())
    kernel = vmlinux or fetched.pop("", None)
    with Symbolizer({**fetched, **named}, kernel) as symbolizer:

        def decorate(report: KernelReport) -> KernelReport:
            ours = dsym_files.fitting(report, dsyms)
            return dsym_files.symbolise(report, ours)[0] if ours else symbolizer.report(report)

        decorated = replace(found, reports=tuple(map(decorate, found.reports)))
        return decorated, (*notes, *symbolizer.notes)


def _fetched(found: Explained, given: Container[str]) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Return the symbol files that debuginfod servers have, and notes on those that they lack.

    Shape: files by module name, with "" for vmlinux; no file is fetched for a name in `given`.
    """
    files: dict[str, Path] = {}
    notes: list[str] = []
    wanted = debuginfod.build_ids(found.reports)
    if not wanted:
        notes.append("debuginfod: no report has a build id (CONFIG_STACKTRACE_BUILD_ID)")
    for name, build_id in wanted.items():
        file = None if name in given else debuginfod.symbol_file(build_id)
        if file is not None:
            files[name] = file
        elif name not in given:
            shown = f"{name}.ko" if name else "vmlinux"
            notes.append(f"debuginfod: no server has {shown} of build {build_id}")
    return files, tuple(notes)
