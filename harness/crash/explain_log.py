# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Explain a console log from anywhere: a file, compressed or not, or standard input.

The log is read in blocks of whole lines, so its size does not matter; what is kept is the first
reports, and the number of all.
"""

import codecs
import gzip
import json
import lzma
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from harness.errors import UsageError
from harness.host import tool
from harness.panic import darwin
from harness.panic.causes import related
from harness.panic.scan import scan_blocks
from harness.panic.signature import signature
from harness.panic.values import Frame, KernelReport
from harness.symbols import dsym_files
from harness.symbols.symbolizer import Symbolizer

Decorate = Callable[[KernelReport], KernelReport]

STDIN = Path("-")
# What a person reads and a bug tracker takes; a log with more is of a kernel that repeats itself.
MOST_REPORTS = 1000
_BLOCK_BYTES = 1 << 20
# Of a panic of macOS, which is one text of some hundred lines.
_MOST_DARWIN_BLOCKS = 4
_DARWIN = ("panic(cpu ", "Debugger: Unexpected kernel trap")
_UNPACK_S = 600.0
_GZIP, _XZ, _ZSTD = b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, kw_only=True)
class Explained:
    """What a log holds: its first reports in the order of the log, and how many there were."""

    reports: tuple[KernelReport, ...]
    count: int

    @property
    def exit_code(self) -> int:
        """The exit code that says it: 3 for a crash, 0 for none."""
        return 3 if self.count else 0


def explain_file(file: Path, *, decorate: Decorate | None = None) -> Explained:
    """Return every report of a log; `decorate` may add what symbol files know.

    Shape: `file` is plain text, gzip, xz or zstd, told by its first bytes; '-' is standard input.
    Raises: UsageError for a file that cannot be read to its end.
    """
    try:
        with _opened(file) as stream:
            found = _explained(_blocks(stream))
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise UsageError(
            f"{file} cannot be read: {error}", hint="a console log, plain or .gz, .xz, .zst"
        ) from error
    except UsageError as error:
        raise UsageError(
            f"{file} cannot be read: {error.message}", hint=error.hint, evidence=error.evidence
        ) from error
    if decorate is None:
        return found
    return Explained(reports=tuple(map(decorate, found.reports)), count=found.count)


def explain_with_symbols(
    file: Path, *, modules: Sequence[Path], vmlinux: Path | None
) -> tuple[Explained, tuple[str, ...]]:
    """Return every report of a log with files and lines, and what could not be looked up.

    Shape: a module is known by the name of its file, debug information beside the '.ko' included;
    a kext's dSYM by its UUID, which a panic of macOS names.
    Raises: UsageError for a log or a symbol file that cannot be read.
    """
    dsyms = tuple(path for path in modules if path.suffix == ".dSYM")
    files = tuple(path for path in modules if path not in dsyms)
    for one in (*files, *((vmlinux,) if vmlinux else ())):
        if not one.is_file():
            raise UsageError(f"{one}: no such file", hint="an ELF file with debug information")
    named = {path.name.partition(".ko")[0]: path for path in files}
    with Symbolizer(named, vmlinux) as symbolizer:

        def decorate(report: KernelReport) -> KernelReport:
            ours = dsym_files.fitting(report, dsyms)
            return dsym_files.symbolise(report, ours)[0] if ours else symbolizer.report(report)

        return explain_file(file, decorate=decorate), symbolizer.notes


def _explained(blocks: Iterator[str]) -> Explained:
    """Return the reports of either system: both are looked for, a log holds one of them."""
    held: list[str] = []
    kept: list[KernelReport] = []
    count = 0
    for report in scan_blocks(_keeping_darwin(blocks, held)):
        if report.kind == "canary":
            continue
        count += 1
        if len(kept) < MOST_REPORTS:
            kept.append(report)
    panics = darwin.scan(darwin.panic_string("\n".join(held)).split("\n")) if held else ()
    reports = sorted((*panics, *related(kept)), key=lambda report: report.line)
    return Explained(reports=tuple(reports), count=count + len(panics))


def _keeping_darwin(blocks: Iterator[str], held: list[str]) -> Iterator[str]:
    """Yield the blocks, and hold back a copy of those that a panic of macOS begins in."""
    for number, block in enumerate(blocks):
        # An .ips file's first line is JSON, and the panic is a string in the rest.
        begins = any(word in block for word in _DARWIN) or (not number and block.startswith("{"))
        if (held or begins) and len(held) < _MOST_DARWIN_BLOCKS:
            held.append(block)
        yield block


def _blocks(stream: IO[bytes]) -> Iterator[str]:
    """Yield decoded text in blocks of whole lines, without the last line's end."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
    rest = ""
    while data := stream.read(_BLOCK_BYTES):
        text = rest + decoder.decode(data)
        # A line without an end is not kept growing: it is cut where it is too long for a block.
        end = text.rfind("\n")
        if end < 0 and len(text) < _BLOCK_BYTES:
            rest = text
            continue
        yield text[:end] if end >= 0 else text
        rest = text[end + 1 :] if end >= 0 else ""
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    """Open a log for reading its bytes, whatever it is packed in."""
    if file == STDIN:
        yield sys.stdin.buffer
        return
    with file.open("rb") as plain:
        begin = plain.read(len(_XZ))
        plain.seek(0)
        if begin.startswith(_GZIP):
            with gzip.open(plain) as unpacked:
                yield unpacked  # type: ignore[misc]  # a GzipFile is read like any file
        elif begin.startswith(_XZ):
            with lzma.open(plain) as unpacked_xz:
                yield unpacked_xz
        elif begin.startswith(_ZSTD):
            # Python has no codec for it before 3.14.
            command = ["zstd", "-dcq", "--", str(file)]
            with tool.reading(command, deadline_s=_UNPACK_S, error=UsageError) as unpacked_zstd:
                yield unpacked_zstd
        else:
            yield plain


def to_json(found: Explained) -> str:
    """Return the reports as JSON: {"crashes": [...], "count": N}, each with its signature."""
    crashes = [_plain(report) for report in found.reports]
    return json.dumps({"crashes": crashes, "count": found.count}, indent=1)


def _plain(report: KernelReport) -> dict[str, Any]:
    own = next((stack.frames for stack in report.stacks if not stack.name), ())
    return {
        **asdict(report),
        "signature": signature(report),
        "frames": [frame.function for frame in own],
    }


def to_lines(found: Explained) -> list[str]:
    """Return what a person reads: a block for each report, or one line that there is none."""
    if not found.count:
        return ["nothing found: the log holds no report of a kernel against itself"]
    numbers = {report.line: index for index, report in enumerate(found.reports, start=1)}
    lines = [
        line
        for index, report in enumerate(found.reports, start=1)
        for line in (*_block(index, report, numbers), "")
    ]
    more = found.count - len(found.reports)
    return [*lines, f"and {more} more reports"] if more > 0 else lines[:-1]


def _block(index: int, report: KernelReport, numbers: dict[int, int]) -> list[str]:
    place = f" ({report.place})" if report.place else ""
    module = f" [{report.module}]" if report.module else ""
    who = " ".join(
        part
        for part in (
            f"task {report.task}" if report.task else "",
            f"pid {report.pid}" if report.pid is not None else "",
            f"cpu {report.cpu}" if report.cpu is not None else "",
            f"taint {report.taint}" if report.taint else "",
        )
        if part
    )
    cause = numbers.get(report.follows) if report.follows is not None else None
    lines = [
        f"{index}. {report.title}",
        f"   line {report.line + 1}, signature {signature(report)}",
    ]
    if report.function or report.module:
        lines.append(f"   in {report.function or 'an unnamed function'}{module}{place}")
    lines += [f"   {who}"] if who else []
    if cause is not None:
        lines.append(f"   a consequence of {cause}")
    if report.fatal:
        lines.append("   the kernel stopped here")
    for stack in report.stacks:
        lines.append(f"   {stack.name or 'stack'}")
        lines += [f"     {_frame(frame)}" for frame in stack.frames]
    return lines


def _frame(frame: Frame) -> str:
    """Return a frame as decode_stacktrace.sh writes it."""
    unsure = "" if frame.reliable else "? "
    offset = f"+{frame.offset:#x}" if frame.offset and not frame.place else ""
    place = f" ({frame.place})" if frame.place else ""
    module = f" {frame.module}" if frame.module else ""
    inline = " [inline]" if frame.inline else ""
    return f"{unsure}{frame.function}{offset}{place}{module}{inline}"
