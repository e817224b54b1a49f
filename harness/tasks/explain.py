# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""`panic-explain` as a program of its own: quick to start, for many logs and for other tools.

    panic-explain FILE... [--format text|json|markdown|junit|sarif]
                  [--vmlinux F] [--module F] [--debuginfod]

Invoke and the other tasks are not loaded, and no guest is needed. `python -m harness.tasks.explain
FILE...` prints JSON, one object a log.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.crash import explain_log, log_text
from harness.crash.explain_log import Explained
from harness.crash.log_sources import Source, sources
from harness.errors import HarnessError
from harness.tasks.execution import execute

FORMATS = ("text", "json", "markdown", "junit", "sarif")


def main(arguments: Sequence[str], *, usual: str = "json") -> int:
    """Explain the logs that a command line names, and return the highest exit code.

    `usual` is the format when the command line names none.
    """
    options = _parser(usual).parse_args(arguments)
    return explain_all(
        options.file,
        form=options.format,
        vmlinux=Path(options.vmlinux) if options.vmlinux else None,
        modules=tuple(map(Path, options.module)),
        from_server=options.debuginfod,
    )


def explain_all(
    words: Sequence[str],
    *,
    form: str,
    vmlinux: Path | None = None,
    modules: Sequence[Path] = (),
    from_server: bool = False,
) -> int:
    """Print the explanation of each log in one of FORMATS, and return the highest exit code.

    An unreadable log is reported as such, and the others are explained. With `from_server`,
    missing debug information is fetched from a debuginfod server.
    """
    worst = 0
    explained: list[tuple[str, Explained]] = []
    for word in words:
        try:
            explained += [
                (source.name, _explained(source, vmlinux, modules, from_server))
                for source in sources((word,))
            ]
        except HarnessError as error:
            hint = f" ({error.hint})" if error.hint else ""
            print(f"error: {error.message}{hint}", file=sys.stderr)
            worst = max(worst, error.exit_code)
    if explained:
        print(_document(explained, form))
    return max([worst, *(found.exit_code for _, found in explained)])


def _explained(
    source: Source, vmlinux: Path | None, modules: Sequence[Path], from_server: bool
) -> Explained:
    if vmlinux is None and not modules and not from_server:
        return explain_log.explain_files(source.files)
    # Most calls name no symbols, and the readers of ELF and DWARF nearly double the start.
    from harness.crash import log_symbols

    found, notes = log_symbols.explain_with_symbols(
        source.files, modules=modules, vmlinux=vmlinux, from_server=from_server
    )
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return found


def _document(explained: Sequence[tuple[str, Explained]], form: str) -> str:
    if form == "json":
        return "\n".join(log_text.to_json(found) for _, found in explained)
    if form == "text":
        texts = ["\n".join(log_text.to_lines(found)) for _, found in explained]
        if len(texts) == 1:
            return texts[0]
        names = [name for name, _ in explained]
        return "\n\n".join(f"{name}:\n{text}" for name, text in zip(names, texts, strict=True))
    from harness.crash import log_documents

    logs = [log_documents.ExplainedLog(name=name, explained=found) for name, found in explained]
    writers = {
        "markdown": log_documents.to_markdown,
        "junit": log_documents.to_junit,
        "sarif": log_documents.to_sarif,
    }
    return writers[form](logs)


def _parser(usual: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="panic-explain",
        description="Explain every crash and hang in console logs of Linux and macOS.",
        epilog="Exit code 3: a report, 0: none, 5: words of a crash alone, 2: not readable.",
    )
    parser.add_argument(
        "file",
        nargs="+",
        help="log, plain or packed; .panic, .ips; a folder (pstore, /var/crash); - is stdin",
    )
    parser.add_argument("--format", choices=FORMATS, default=usual)
    parser.add_argument("--vmlinux", help="the kernel's vmlinux with debug information")
    parser.add_argument(
        "--module", action="append", default=[], help="a .ko with debug information, a .dSYM"
    )
    parser.add_argument(
        "--debuginfod",
        action="store_true",
        help="fetch symbols from DEBUGINFOD_URLS by the build ids in the log",
    )
    return parser


def run(*, usual: str = "text") -> None:
    """Run the program `panic-explain`, and end the process with its exit code."""
    sys.exit(execute(lambda: main(sys.argv[1:], usual=usual)))


if __name__ == "__main__":
    run(usual="json")
