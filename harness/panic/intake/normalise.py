# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Convert a log from any source into one form, before kernel reports are searched in it.

In that form a kernel line begins with printk's time, or with `dialects.UNTIMED` where it has none;
no other line is marked in this way. Prefixes are removed, wrapped lines are joined, a log that was
sorted newest first is reversed, and a line that arrived twice is kept once.
A line without a prefix counts as the kernel's if no line around it has one, or if it is in a run
of such lines that contains a stack. A program's message within a kernel log does not count.
"""

import re
from array import array
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import eq

from harness.panic.headers import match
from harness.panic.intake.containers import NumberedLine, unpacked
from harness.panic.intake.dialects import Peeled, peel
from harness.panic.intake.lines import clean

# A line with one of these may be packed in JSON, HTML or a mail.
_PACKED = re.compile(r'^(?:[ \t>|`]|.{0,200}[{"]|.*&[lg#aq]|.*<[bpdBPD])', re.MULTILINE)
# A line of a plain console begins with printk's time, or with a word that no kernel prefix has.
_NOT_PLAIN = re.compile(
    r"^(?:[^\[A-Za-z\n\r]|\[(?! *\d{1,12}\.\d{6}\])|\S{0,64} ?(?:kernel|klogd|vmunix)(?:\[\d+\])?:|"
    r"kern *:|[VDIWEF]/kernel|[\w.-]{1,40} +\| |[^\[\n]{0,40}\d\d:\d\d:\d\d|[^\[\n][^\n]*\+0x[0-9a-f]+/0x|"
    r"\[ *\d+\.\d{6}\](?: ?\[ *[TC]\d+\])? ?(?:-?\(\d|\[\d|\[pid:|c\d+ |<\d|(?:\S{1,64} )?kernel[\[:]))",
    re.MULTILINE,
)
_STAMPS = re.compile(r"^\[ *(\d{1,12}\.\d{6})\]", re.MULTILINE)
_FRAME = re.compile(r"\+0x[0-9a-f]+/0x[0-9a-f]+")
_TIME = re.compile(r"\d\d:\d\d:\d\d(?:[.,]\d+)?")
# Fewer hits than this may be chance.
_FEWEST_STEPS = 3
# syslogd's copies and merged captures follow the original within this number of lines.
_COPIES_WITHIN = 128
_MOST_REGIONS = 100
# The widths at which programs wrap lines: terminals exactly at their width, mails before it.
_WIDTHS = range(64, 133)
_TERMINALS = {80, 132}
_MAILS = range(64, 85)
_SOFT_WIDTH = 60
# What a mail or a tracker puts around text; a line that has only this may go on another line.
_WRAPPINGS = frozenset({"quoted", "table", "indented", "html"})
# A mail program ends flowed lines before the 72nd column, and adds one or two blanks.
_FLOWED_FROM, _FLOWED = 72, 80


@dataclass(frozen=True, kw_only=True)
class Region:
    """A part of a log whose lines have the same prefixes: its first line, from 0, and its length.

    `dialect` names the prefixes.
    """

    dialect: str
    line: int
    lines: int


@dataclass(frozen=True, slots=True)
class _Line:
    """A log line being normalised: its number, its text, and its text without prefixes."""

    number: int
    raw: str
    peeled: Peeled


class Normaliser:
    """The converter of one log into the normalised form, block by block.

    It records the source line of each line that it returns.
    """

    def __init__(self) -> None:
        self.regions: list[Region] = []
        self._lines_in = 0
        self._lines_out = 0
        self._starts: list[int] = []
        self._sources: list[array[int] | int] = []
        self._kernel_seen = False

    def pass_over(self, block: str) -> str:
        """Count the lines of a block without converting it, and return it unchanged.

        The caller knows that the block contains no kernel report.
        """
        head = [peel(clean(one)) for one in block[:4096].split("\n", 20)[:20]]
        self._kernel_seen = self._kernel_seen or any(one.kernel for one in head)
        common = Counter(one.dialect for one in head if one.dialect)
        return self._as_it_is(block, common.most_common(1)[0][0] if common else ())

    def _as_it_is(self, block: str, layers: tuple[str, ...]) -> str:
        count = block.count("\n") + 1
        self._add_region(layers, self._lines_in, self._lines_in + count)
        self._remember(self._lines_in, count)
        self._lines_in += count
        return block

    def block(self, block: str) -> str:
        """Return a block of whole log lines in the normalised form."""
        if _is_plain(block):
            self._kernel_seen = True
            return self._as_it_is(block, ("printk",))
        numbered = [
            NumberedLine(number, text)
            for number, text in enumerate(_split(block), start=self._lines_in)
        ]
        self._lines_in += len(numbered)
        if _PACKED.search(block):
            numbered = unpacked(numbered)
        lines = [_peeled(line) for line in numbered]
        self._add_regions(lines)
        lines = _oldest_first(lines)
        lines = _joined(_reflowed(_without_copies(lines)))
        text = self._written(lines)
        self._remember(array("L", [line.number for line in lines]), len(lines))
        return text

    def source_line(self, line: int) -> int:
        """Return the number in the source log of a line in the normalised log, both from 0."""
        at = bisect_right(self._starts, line) - 1
        if at < 0:
            return line
        source, offset = self._sources[at], line - self._starts[at]
        if isinstance(source, int):
            return source + offset
        return source[min(offset, len(source) - 1)] if source else line

    def _remember(self, source: "array[int] | int", count: int) -> None:
        self._starts.append(self._lines_out)
        self._sources.append(source)
        self._lines_out += count

    def _written(self, lines: Sequence[_Line]) -> str:
        """Return lines as normalised text; decide which lines without a prefix are the kernel's.

        The lines of a run without prefixes either all count as the kernel's or all do not, except
        a program's messages, which never do.
        """
        marked = any(line.peeled.kernel for line in lines)
        all_bare = not marked and not self._kernel_seen
        self._kernel_seen = self._kernel_seen or marked
        written: list[str] = []
        for run, bare in _runs(lines):
            ours = bare and (all_bare or any(_FRAME.search(line.raw) for line in run))
            for line in run:
                peeled = line.peeled
                taken = ours and not peeled.other
                written.append(peeled.as_kernels if taken else peeled.canonical)
        return "\n".join(written)

    def _add_regions(self, lines: Sequence[_Line]) -> None:
        """Record which parts of the log have which prefixes, for the summary of the log.

        A line without prefixes belongs to the part before it.
        """
        current: tuple[str, ...] | None = None
        start = lines[0].number
        for line in lines:
            dialect = line.peeled.dialect
            if dialect == current or (not dialect and current is not None):
                continue
            if current is not None:
                self._add_region(current, start, line.number)
                start = line.number
            current = dialect
        self._add_region(current or (), start, self._lines_in)

    def _add_region(self, layers: tuple[str, ...], start: int, end: int) -> None:
        known = self.regions[-1] if self.regions else None
        dialect = "+".join(layers) or "bare"
        full = len(self.regions) >= _MOST_REGIONS
        if known is not None and (dialect in ("bare", known.dialect) or full):
            self.regions[-1] = replace(known, lines=end - known.line)
        else:
            self.regions.append(Region(dialect=dialect, line=start, lines=end - start))


def _is_plain(block: str) -> bool:
    """Return whether a block needs no conversion: its lines are as printk writes them."""
    times = [float(time) for time in _STAMPS.findall(block)]
    if not times or _NOT_PLAIN.search(block) is not None or _falls(times):
        return False
    lines = block.split("\n")
    stamped = [line for line in lines if line.startswith("[")]
    copies = sum(map(eq, stamped, stamped[1:]))
    return (
        copies * 4 < len(stamped)
        and max(map(len, lines)) not in _WIDTHS
        and not _ends_in_returns(block)
    )


def _ends_in_returns(block: str) -> bool:
    """Return whether the lines of a block end in carriage returns without line feeds."""
    return "\n" not in block.strip("\n") and "\r" in block.strip("\r\n")


def _split(block: str) -> list[str]:
    return (
        block.split("\r") if _ends_in_returns(block) else block.replace("\n\r", "\n").split("\n")
    )


def _peeled(line: NumberedLine) -> _Line:
    text = clean(line.text)
    peeled = peel(text)
    if line.dialect:
        peeled = replace(peeled, dialect=(*line.dialect, *peeled.dialect))
    return _Line(line.number, text, peeled)


def _runs(lines: Sequence[_Line]) -> Iterator[tuple[Sequence[_Line], bool]]:
    """Yield the longest runs of lines that all have, or all lack, a prefix that names the kernel.

    The bool is True for a run of lines that lack it.
    """
    start = 0
    for index in range(1, len(lines) + 1):
        if index < len(lines) and lines[index].peeled.kernel == lines[start].peeled.kernel:
            continue
        yield lines[start:index], not lines[start].peeled.kernel
        start = index


def _oldest_first(lines: list[_Line]) -> list[_Line]:
    """Return the lines oldest first: reversed if their times show that the log is newest first."""
    times = [line.peeled.at for line in lines if line.peeled.at is not None]
    if _falls(times):
        return lines[::-1]
    if times:
        return lines
    clocks = [match[0] for line in lines if (match := _TIME.search(line.raw, 0, 64))]
    if _falls(clocks) or (not clocks and _ends_before_it_begins(lines)):
        return lines[::-1]
    return lines


def _falls(times: Sequence[float] | Sequence[str]) -> bool:
    down = up = 0
    for index in range(1, len(times)):
        down += times[index] < times[index - 1]  # type: ignore[operator]  # both are of one type
        up += times[index] > times[index - 1]  # type: ignore[operator]
    return down >= _FEWEST_STEPS and down > _FEWEST_STEPS * up


def _ends_before_it_begins(lines: Sequence[_Line]) -> bool:
    """Return whether a report's end mark comes before its header, so that the log is newest first.

    This is for logs without times.
    """
    begins = (at for at, line in enumerate(lines) if "[ cut here ]" in line.raw)
    end = next((at for at, line in enumerate(lines) if "---[ end " in line.raw), None)
    if end is None or next(begins, -1) < end:
        return False
    return not any(match(line.peeled.text) for line in lines[:end])


def _without_copies(lines: list[_Line]) -> list[_Line]:
    """Return the lines without the second copies of lines that arrived twice.

    Three causes are handled: syslogd's copy to every terminal, two merged captures of one console,
    and a console that shows every line twice.
    """
    keys = [_key(line) for line in lines if line.peeled.at is not None]
    if len(set(keys)) == len(keys):
        return lines
    twice = _doubled(keys)
    walls = [line for line in lines if _is_wall(line)]
    others = {_key(line) for line in lines if not _is_wall(line)} if walls else set()
    recent: OrderedDict[tuple[float | None, str], tuple[str, ...]] = OrderedDict()
    kept: list[_Line] = []
    for line in lines:
        peeled, key = line.peeled, _key(line)
        if peeled.at is not None:
            copy = recent.get(key)
            if (_is_wall(line) and key in others) or (copy is not None and copy != peeled.dialect):
                continue
            if twice and kept and _key(kept[-1]) == key:
                continue
            recent[key] = peeled.dialect
            if len(recent) > _COPIES_WITHIN:
                recent.popitem(last=False)
        kept.append(line)
    return kept


def _key(line: _Line) -> tuple[float | None, str]:
    return line.peeled.at, line.peeled.text.strip()


def _is_wall(line: _Line) -> bool:
    return line.raw.startswith((" kernel:", "kernel:"))


def _doubled(keys: Sequence[tuple[float | None, str]]) -> bool:
    """Return whether nearly every kernel line occurs twice in a row; `keys` are time and text."""
    pairs = sum(1 for index in range(0, len(keys) - 1, 2) if keys[index] == keys[index + 1])
    return len(set(keys)) > 1 and pairs * 2 >= len(keys) * 0.9


def _joined(lines: list[_Line]) -> list[_Line]:
    """Return the lines, joined again where a terminal or a mail program had wrapped them."""
    width = max((len(line.raw) for line in lines), default=0)
    if width not in _WIDTHS:
        return lines
    full = sum(1 for line in lines if len(line.raw) == width)
    marked = any(line.peeled.kernel for line in lines)
    hard = full >= _FEWEST_STEPS or (marked and width in _TERMINALS)
    whole: list[_Line] = []
    length = 0
    for line in lines:
        bare = not line.peeled.dialect and not line.peeled.other and line.raw.strip()
        before = whole[-1].peeled if whole else None
        glue = None
        if before is not None and bare and (before.kernel or not marked):
            glue = _glue(length, line.raw, width, hard=hard, soft=marked and width in _MAILS)
        length = len(line.raw)
        if before is None or glue is None:
            whole.append(line)
            continue
        joined = replace(before, text=before.text + glue + line.raw.lstrip(" " if glue else ""))
        whole[-1] = replace(whole[-1], peeled=joined)
    return whole


def _reflowed(lines: Sequence[_Line]) -> list[_Line]:
    """Return the lines, joined again where a mail program had wrapped them as flowed text."""
    whole: list[_Line] = []
    for line in lines:
        bare = (
            not line.peeled.other
            and _WRAPPINGS.issuperset(line.peeled.dialect)
            and line.raw.strip()
        )
        if whole and bare and _flows(whole[-1], line):
            before = whole[-1]
            text = before.peeled.text.rstrip() + " " + line.raw.strip()
            whole[-1] = replace(before, raw=line.raw, peeled=replace(before.peeled, text=text))
        else:
            whole.append(line)
    return whole


def _flows(line: _Line, after: _Line) -> bool:
    """Return whether `after` is the rest of `line`, which a mail program has wrapped.

    It is if the line ends in a blank and had no room for the next word.
    Source: RFC 3676, format=flowed.
    """
    if not line.raw.endswith(" ") or len(line.raw) > _FLOWED:
        return False
    word = after.raw.split(maxsplit=1)[0]
    no_room = len(line.raw.rstrip()) + 1 + len(word) > _FLOWED_FROM
    return no_room and match(after.raw) is None and not _FRAME.search(after.raw)


def _glue(length: int, rest: str, width: int, *, hard: bool, soft: bool) -> str | None:
    """Return what joins a wrapped line to the next, "" or a blank; None for two separate lines.

    `length` is the line's length, and `rest` is the next line. `hard` allows a wrap in exactly the
    last column, as a terminal does it. `soft` allows a wrap between words, as a mail program does
    it. `width` is the greatest length of a line.
    """
    if hard and length == width:
        return ""
    word = rest.split(maxsplit=1)[0]
    cut = soft and length >= _SOFT_WIDTH and length + 1 + len(word) > width
    return " " if cut and not _FRAME.search(rest) else None
