# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Split a console into the kernel log of each test, by the marks that the tests write into it.

Lines between the end of a test and the next mark form a part with the name after-TEST. A fault
there was caused by something that ran earlier.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.model.guest_history import TestMark

# Linux takes names of files up to 255 bytes, and a letter may have four.
_MOST_BYTES = 200


@dataclass(frozen=True, kw_only=True)
class LogPart:
    """The console lines from one mark of a test to the next mark.

    `name` is the test that ran, `after-TEST` for lines after a test's end, or `start`.
    """

    name: str
    lines: tuple[str, ...]


def split(lines: Iterable[str], marks: Sequence[TestMark]) -> Iterator[LogPart]:
    """Cut a console's lines at the tests' marks, and yield the parts in order, but no empty ones.

    `marks` are the begin and end marks of tests in this console.
    """
    name = "start"
    part: list[str] = []
    by_line = {mark.line: mark for mark in marks}
    for number, line in enumerate(lines):
        mark = by_line.get(number)
        if mark is not None and mark.begins:
            yield from _part(name, part)
            name, part = mark.test, []
        part.append(line)
        if mark is not None and not mark.begins:
            yield from _part(name, part)
            name, part = f"after-{mark.test}", []
    yield from _part(name, part)


def write(console: Path, marks: Sequence[TestMark], folder: Path) -> None:
    """Write the console lines of each test, cut at the marks, into a file of its own in `folder`.

    The files are numbered in order. If the guest ended before it had a console, none is written.
    """
    if not console.is_file():
        return
    folder.mkdir(exist_ok=True)
    # Only a line feed ends a console line; a carriage return does not.
    with console.open(encoding="utf-8", errors="backslashreplace", newline="\n") as lines:
        parts = split((line.rstrip("\r\n") for line in lines), marks)
        for number, part in enumerate(parts):
            safe = "".join(c if c.isalnum() or c in "-_.:[]" else "_" for c in part.name)
            short = safe.encode()[:_MOST_BYTES].decode(errors="ignore")
            name = f"{number:03d}-{short}.log"
            (folder / name).write_text("".join(f"{line}\n" for line in part.lines))


def _part(name: str, lines: list[str]) -> Iterator[LogPart]:
    if lines:
        yield LogPart(name=name, lines=tuple(lines))
