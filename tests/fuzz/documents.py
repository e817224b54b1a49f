# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Strategies of hypothesis that make logs: recorded logs whose blocks of lines are changed.

Each change replaces a block of lines by another one. A document is drawn as a list of such small
choices, so that hypothesis can shrink a failing document to the changes that matter.
"""

import gzip
import lzma
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from tests.unit.panic.test_formats import CASES
from tests.unit.panic.test_normalise import ENDS, MACOS, PACKED, PREFIXES

DATA = Path(__file__).resolve().parents[1] / "data" / "panic"
MOST_BYTES = 1 << 20
_MOST_LINES = 120

Lines = list[bytes]
Draw = st.DrawFn


def _originals() -> tuple[bytes, ...]:
    """Return the recorded logs, the texts of each format, and the logs of the folder FUZZ_LOGS."""
    more = os.environ.get("FUZZ_LOGS")
    files = [*sorted(DATA.glob("*.log")), *(sorted(Path(more).rglob("*.log")) if more else ())]
    texts = [MACOS, *(case.text for case in CASES.values())]
    return (*(text.encode() for text in texts), *(file.read_bytes() for file in files))


ORIGINALS = _originals()
# Bytes that a console, a terminal, an editor or a broken disk adds to a log.
_ODD = (
    b"\0",
    b"\r",
    b"\n",
    b"\x1b[31m",
    b"\x1b[",
    b"\x08",
    b"\xff",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",
    b"\\ud800",
    b"&#xd800;",
    b"]]>",
    b"```",
)
# Text that a pattern may try to match again at each of its characters.
_AGAIN = (
    *_ODD,
    *(b"(", b"[", b"{", b'"', b"<", b" ", b"\t", b"0", b"_", b"? ", b"[<", b"> ", b"| ", b"&lt;"),
    *(b" f+0x1/0x2\n", b"at: ", b"a.c:1 ", b"lock_", b"Tainted: A ", b"[    1.000000] "),
    *(b"BUG: x\n", b"------------[ cut here ]------------\n", b"Call Trace:\n", b'{"log": '),
    *(b"panic(cpu 0 caller 0x0): x\n", b'"panicString" : "', b"-> #1 ", b"<p>", b"<br>"),
)
_HUGE = (b"0", b"9" * 12, b"9" * 30, b"9" * 5000, b"-1", b"0x" + b"f" * 40)


@dataclass(frozen=True, kw_only=True)
class Document:
    """A log as text, and how its file holds it: packed, and then cut after `kept` bytes."""

    text: bytes
    packing: str = "plain"
    kept: int | None = None

    @property
    def data(self) -> bytes:
        """The bytes of the file."""
        return PACKINGS[self.packing](self.text)[: self.kept]


@dataclass(frozen=True, kw_only=True)
class Growth:
    """A log of any size: a beginning, a unit that is repeated, and an end."""

    head: bytes
    unit: bytes
    tail: bytes

    def text(self, size_bytes: int) -> bytes:
        """Return the log with the unit repeated until it has about `size_bytes`."""
        return self.head + self.unit * (size_bytes // len(self.unit) + 1) + self.tail


def _as_utf_16(text: bytes) -> bytes:
    return text.decode(errors="replace").encode("utf-16")


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda text: text,
    "gzip": lambda text: gzip.compress(text, compresslevel=1),
    "xz": lambda text: lzma.compress(text, preset=0),
    "utf-16": _as_utf_16,
}


def _repeated(draw: Draw, block: Lines) -> Lines:
    return block * draw(st.integers(2, 60))


def _rotated(draw: Draw, block: Lines) -> Lines:
    at = draw(st.integers(0, len(block)))
    return block[at:] + block[:at]


def _prefixed(draw: Draw, block: Lines) -> Lines:
    prefix = draw(st.sampled_from(PREFIXES)).encode()
    return [prefix + line for line in block]


def _with_other_ends(draw: Draw, block: Lines) -> Lines:
    end = draw(st.sampled_from(tuple(ENDS.values()))).encode()
    return [line.rstrip(b"\r\n") + end for line in block]


def _cut(draw: Draw, block: Lines) -> Lines:
    """Return a block whose last line is cut, so that the next line goes on on it."""
    return [*block[:-1], block[-1][: draw(st.integers(0, 200))]]


def _packed(draw: Draw, block: Lines) -> Lines:
    """Return a block packed in JSON or HTML; some functions get half of a surrogate pair."""
    how = draw(st.sampled_from(tuple(PACKED)))
    lines = [line.decode(errors="backslashreplace").rstrip("\r\n") for line in block]
    text = PACKED[how](lines).replace("+0x", "\\ud800+0x", draw(st.integers(0, 3)))
    return [*text.encode().splitlines(keepends=True), b"\n"]


def _with_odd_bytes(draw: Draw, block: Lines) -> Lines:
    """Return a block with odd, random or many equal bytes in its first line."""
    many = st.builds(
        lambda unit, count: unit * count, st.sampled_from(_AGAIN), st.integers(1, 9000)
    )
    odd = draw(st.one_of(st.sampled_from(_ODD), st.binary(max_size=40), many))
    at = draw(st.integers(0, 120))
    return [block[0][:at] + odd + block[0][at:], *block[1:]]


def _with_huge_numbers(draw: Draw, block: Lines) -> Lines:
    huge = draw(st.sampled_from(_HUGE))
    return [re.sub(rb"\d+", huge, line) for line in block]


def _spliced(draw: Draw, block: Lines) -> Lines:
    return block + draw(_blocks())


_CHANGES: tuple[Callable[[Draw, Lines], Lines], ...] = (
    lambda _draw, _block: [],
    lambda _draw, block: block[::-1],
    _repeated,
    _rotated,
    _prefixed,
    _with_other_ends,
    _cut,
    _packed,
    _with_odd_bytes,
    _with_huge_numbers,
    _spliced,
)


@st.composite
def _blocks(draw: Draw) -> Lines:
    """Draw consecutive lines of one original."""
    lines = draw(st.sampled_from(ORIGINALS)).splitlines(keepends=True)
    start = draw(st.integers(0, len(lines) - 1))
    return lines[start : start + draw(st.integers(1, _MOST_LINES))]


def _changed(draw: Draw, lines: Lines) -> Lines:
    """Return the lines with one block of them changed."""
    if not lines:
        return lines
    start = draw(st.integers(0, len(lines) - 1))
    end = start + draw(st.integers(1, _MOST_LINES))
    change = draw(st.sampled_from(_CHANGES))
    return lines[:start] + change(draw, lines[start:end]) + lines[end:]


def _within_bounds(lines: Sequence[bytes]) -> bytes:
    return b"".join(lines)[:MOST_BYTES]


@st.composite
def documents(draw: Draw) -> Document:
    """Draw a log with up to 8 changes; one in about 100 is repeated until it has 1 MB."""
    lines = draw(_blocks())
    for _ in range(draw(st.integers(0, 8))):
        lines = _within_bounds(_changed(draw, lines)).splitlines(keepends=True)
    text = _within_bounds(lines)
    if text and draw(st.integers(0, 99)) == 99:
        text = (text * (MOST_BYTES // len(text) + 1))[:MOST_BYTES]
    return Document(
        text=text,
        packing=draw(st.sampled_from(("plain",) * 5 + tuple(PACKINGS))),
        kept=draw(st.none() | st.integers(0, 20_000)),
    )


@st.composite
def growths(draw: Draw) -> Growth:
    """Draw a log that grows by bytes within one line, by one line, or by changed blocks."""
    some = _blocks().map(b"".join)
    piece = st.builds(
        lambda text, start, length: text[start : start + length],
        some,
        st.integers(0, 300),
        st.integers(1, 60),
    )
    changed = documents().map(lambda document: document.text[:8000])
    unit = draw(st.one_of(st.sampled_from(_AGAIN), piece, some, changed))
    ends = st.one_of(st.just(b""), piece, some)
    return Growth(head=draw(ends), unit=unit or b"x", tail=draw(ends))
