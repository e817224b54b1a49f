# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find and explain the kernel's crash reports in a console log: a file or standard input.

Logs of any size are read, block by block. Only the first reports are kept, with the number of all.
"""

import codecs
import gzip
import lzma
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from harness.errors import NOT_UNDERSTOOD, UsageError
from harness.panic.causes import related
from harness.panic.intake.normalise import Region
from harness.panic.log import LogReader, Suspect
from harness.panic.scan import sourced
from harness.panic.values import KernelReport

Decorate = Callable[[KernelReport], KernelReport]

STDIN = Path("-")
# Neither a person nor a bug tracker reads more reports; a kernel that has more repeats itself.
MOST_REPORTS = 1000
# A line takes some 300 bytes of memory while its block is read, however short it is, so blocks are
# small. One line may be longer than a block: a macOS report can be one line of JSON.
_BLOCK_BYTES, _LINE_BYTES = 1 << 18, 1 << 19
# Real blocks have a tenth as many lines.
_BLOCK_LINES = 1 << 17
_UNPACK_S = 600.0
_GZIP, _XZ, _ZSTD = b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, kw_only=True)
class Explained:
    """The first reports of a log in its order, and the number of all reports.

    `dialects` names the format of each part of the log. When no report was found, `suspects` are
    lines with words that are typical of a crash.
    """

    reports: tuple[KernelReport, ...]
    count: int
    dialects: tuple[Region, ...] = ()
    suspects: tuple[Suspect, ...] = ()

    @property
    def exit_code(self) -> int:
        """The exit code of `panic-explain` for this log.

        It is 3 when a report was found, 5 for only suspicious lines, and 0 for neither.
        """
        if self.count:
            return 3
        return NOT_UNDERSTOOD if self.suspects else 0


def explain_file(file: Path, *, decorate: Decorate | None = None) -> Explained:
    """Return the reports of a log file; `decorate` may add files and lines from symbols.

    `file` may be plain text, gzip, xz or zstd, which its first bytes decide; '-' is standard
    input. At most 1000 reports are returned, with the number of all.
    Raises: UsageError for a file that cannot be read to its end.
    """
    return explain_files((file,), decorate=decorate)


def explain_files(files: Sequence[Path], *, decorate: Decorate | None = None) -> Explained:
    """Return the reports of a log whose parts are given as files, the oldest file first.

    Compression and number of reports are as in `explain_file`.
    Raises: UsageError for a file that cannot be read to its end.
    """
    found = _explained(block for file in files for block in _blocks_of(file))
    if decorate is None:
        return found
    return replace(found, reports=tuple(map(decorate, found.reports)))


def _blocks_of(file: Path) -> Iterator[str]:
    """Yield the text of one file in blocks.

    Raises: UsageError for a file that cannot be read to its end.
    """
    try:
        with _opened(file) as stream:
            yield from _blocks(stream)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise UsageError(
            f"{file} cannot be read: {error}", hint="a console log, plain or .gz, .xz, .zst"
        ) from error
    except UsageError as error:
        raise UsageError(
            f"{file} cannot be read: {error.message}", hint=error.hint, evidence=error.evidence
        ) from error


def _explained(blocks: Iterator[str]) -> Explained:
    """Return the reports, the format of each part and the suspicious lines of a log.

    The log is one of Linux or macOS.
    """
    reader = LogReader(detailed=MOST_REPORTS)
    kept: list[KernelReport] = []
    count = 0
    for report in reader.read(blocks):
        # The harness plants this line in the log of each of its guests.
        if report.kind == "canary":
            continue
        count += 1
        if len(kept) < MOST_REPORTS:
            kept.append(report)
    return Explained(
        reports=tuple(sourced(report, reader.normaliser) for report in related(kept)),
        count=count,
        dialects=tuple(reader.normaliser.regions),
        suspects=tuple(reader.suspects),
    )


def _blocks(stream: IO[bytes]) -> Iterator[str]:
    """Yield decoded text in blocks of whole lines, without the newline of the last line.

    Only a line of over half a megabyte is cut.
    """
    data = stream.read(_BLOCK_BYTES)
    decoder = codecs.getincrementaldecoder(_encoding(data))(errors="backslashreplace")
    rest = ""
    while data:
        text = rest + decoder.decode(data)
        # A very long line without a newline is cut, so that memory stays bounded.
        end = text.rfind("\n")
        data = stream.read(_BLOCK_BYTES)
        if end < 0 and len(text) < _LINE_BYTES:
            rest = text
            continue
        yield from _parts(text[:end] if end >= 0 else text)
        rest = text[end + 1 :] if end >= 0 else ""
    rest += decoder.decode(b"", final=True)
    if rest:
        yield from _parts(rest)


def _parts(block: str) -> Iterator[str]:
    """Yield a block in parts that have at most _BLOCK_LINES lines."""
    end = "\n" if "\n" in block else "\r"
    if block.count(end) < _BLOCK_LINES:
        yield block
        return
    lines = block.split(end)
    for start in range(0, len(lines), _BLOCK_LINES):
        yield end.join(lines[start : start + _BLOCK_LINES])


def _encoding(begin: bytes) -> str:
    """Return the encoding of a text by its first bytes.

    PowerShell writes UTF-16, with or without a byte order mark.
    """
    if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if begin.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    sample = begin[:4096]
    # Every second byte of an English text in UTF-16 is 0.
    if len(sample) > 1 and sample[1::2].count(0) * 2 > len(sample) * 0.8:
        return "utf-16-le"
    return "utf-8"


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    """Open a log for reading its bytes, whatever its compression."""
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
            # Python has no zstd module before 3.14. Most logs are not packed so, and loading the
            # module that runs programs takes as long as explaining a log.
            from harness.host import tool  # noqa: PLC0415 -- see above

            command = ["zstd", "-dcq", "--", str(file)]
            with tool.reading(command, deadline_s=_UNPACK_S, error=UsageError) as unpacked_zstd:
                yield unpacked_zstd
        else:
            yield plain
