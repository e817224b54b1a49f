# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find the kernel's reports in a console, line by line as it comes, with bounded memory.

A report begins with one of `headers` and ends with the kernel's own end marks, with a test's
mark, when nothing more is added to it, or when it has grown beyond all reason. Where printk says
who printed (CONFIG_PRINTK_CALLER), each thread and CPU has a report of its own open; where it
does not, there is one. A header that merely goes on with an open report does not begin another:
an oops that panics before it has ended is one report, and its being fatal is taken over.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from harness.panic import causes
from harness.panic.explain import explain, has_needed_stack
from harness.panic.headers import HINTS, match
from harness.panic.intake.lines import KernelLine, clean, parse, pieces
from harness.panic.intake.normalise import Normaliser
from harness.panic.tables.header import Header
from harness.panic.trim import trimmed
from harness.panic.values import KernelReport

# A report with the stacks of many tasks is long; one that is longer is not only a report.
_MOST_LINES = 400
# More at the same time is no kernel's doing.
_MOST_OPEN = 8
_ENDS = ("---[ end trace", "---[ end Kernel panic")
_FATAL_END = "---[ end Kernel panic"
# Another CPU's answer to a report that asks for every CPU's stack belongs to that report.
_ANSWER = "NMI backtrace for cpu "
# How many lines are shown from before a report: any, and those of the same thread or CPU.
_BEFORE, _BEFORE_SAME = 5, 50
_KEPT = 100
# Where the clock of a log may begin anew: at a boot, or when another guest was restored.
_BEGINNINGS = ("Linux version ", "harness-test-begin")
_TIMES = re.compile(r"\[ *(\d{1,12}\.\d{6})\]")
# A block is what is looked through at once for the words of `HINTS`.
_BLOCK_CHARACTERS = 1 << 20


@dataclass
class _Draft:
    """A report that is being read: its header, its lines so far, and whose lines it takes."""

    header: Header
    line: int
    at: float | None
    contexts: set[str]
    before: tuple[str, ...]
    fatal: bool
    text: list[str] = field(default_factory=list)
    beats: int = 0


class Scanner:
    """Takes console lines in order and gives each report when it is complete.

    Which report follows from which is for `causes.related` to say, once all are known. Of more
    reports than `detailed` only kind, line and first line are given: whoever asks counts them.
    """

    def __init__(self, *, detailed: int | None = None) -> None:
        self._index = -1
        self._left = detailed
        self._open: list[_Draft] = []
        self._recent: deque[str] = deque(maxlen=_KEPT)
        self._at = 0.0
        self._boot = 0

    @property
    def idle(self) -> bool:
        """Whether no report is open, so that only a header can say anything."""
        return not self._open

    def feed(self, line: str, *, plain: bool = False) -> tuple[KernelReport, ...]:
        """Take the next line; return the reports that it completes.

        Of a `plain` line the caller knows that it holds no word of `HINTS`.
        """
        self._index += 1
        done: tuple[KernelReport, ...] = ()
        for piece in pieces(clean(line)):
            found = parse(piece)
            if found is not None:
                done += self._take(found, plain=plain)
        self._recent.append(line)
        return done

    def skip(self, lines: Iterable[str], count: int, latest: float) -> None:
        """Pass over `count` lines that hold no header; `lines` are the last of them.

        Units: `latest` is in seconds of the kernel's clock, the greatest time in all of them.
        """
        self._index += count
        self._at = max(self._at, latest)
        self._recent.extend(lines)

    def finish(self) -> tuple[KernelReport, ...]:
        """Return the reports that are still open, as at the end of the console."""
        done = [report for draft in tuple(self._open) for report in self._close(draft)]
        return tuple(sorted(done, key=lambda report: report.line))

    def _take(self, line: KernelLine, *, plain: bool) -> tuple[KernelReport, ...]:
        return self._of_earlier_boot(line) + self._of_this_boot(line, plain=plain)

    def _of_earlier_boot(self, line: KernelLine) -> tuple[KernelReport, ...]:
        """Return what is still open when the clock begins again, at another boot."""
        if line.at is None:
            return ()
        again = line.at < self._at and line.text.startswith(_BEGINNINGS)
        self._at = line.at if again else max(self._at, line.at)
        if not again:
            return ()
        done = self.finish()
        self._boot += 1
        return done

    def _of_this_boot(self, line: KernelLine, *, plain: bool) -> tuple[KernelReport, ...]:
        if line.text.startswith("harness-"):
            if line.text.startswith("harness-test-"):
                return self.finish()
            if line.text.startswith("harness-heartbeat"):
                return self._beat()
        hit = None if plain else match(line.text)
        draft = self._of(line)
        if hit is None:
            return self._go_on(draft, line) if draft is not None else ()
        if draft is not None and causes.goes_on(draft.header.kind, hit, len(draft.text)):
            draft.fatal = draft.fatal or hit[0].fatal
            return self._go_on(draft, line)
        ended = self._close(draft) if draft is not None else ()
        return ended + self._begin(hit[0], line)

    def _of(self, line: KernelLine) -> _Draft | None:
        """Return the open report to which a line belongs."""
        for draft in reversed(self._open):
            if not line.context or not draft.contexts or line.context in draft.contexts:
                return draft
        if line.text.startswith(_ANSWER):
            asking = next((one for one in self._open if one.header.asks_all), None)
            if asking is not None:
                asking.contexts.add(line.context)
            return asking
        return None

    def _begin(self, header: Header, line: KernelLine) -> tuple[KernelReport, ...]:
        contexts = {line.context} if line.context else set()
        draft = _Draft(
            header=header,
            line=self._index,
            at=line.at,
            contexts=contexts,
            before=() if self._left == 0 else tuple(self._before(line.context)),
            fatal=header.fatal,
            text=[line.text],
        )
        self._open.append(draft)
        oldest = self._close(self._open[0]) if len(self._open) > _MOST_OPEN else ()
        return oldest + (self._close(draft) if header.kind == "canary" else ())

    def _go_on(self, draft: _Draft, line: KernelLine) -> tuple[KernelReport, ...]:
        draft.beats = 0
        draft.text.append(line.text)
        draft.fatal = draft.fatal or line.text.startswith(_FATAL_END)
        ended = line.text.startswith(_ENDS) or len(draft.text) >= _MOST_LINES
        return self._close(draft) if ended else ()

    def _beat(self) -> tuple[KernelReport, ...]:
        """A report to which nothing was added between two heartbeats is complete."""
        for draft in self._open:
            draft.beats += 1
        still = [draft for draft in tuple(self._open) if draft.beats > 1]
        return tuple(report for draft in still for report in self._close(draft))

    def _before(self, context: str) -> list[str]:
        """Return the kernel lines just before a header; of the same context more of them."""
        wanted = _BEFORE_SAME if context else _BEFORE
        found: list[str] = []
        for raw in reversed(self._recent):
            if len(found) >= _BEFORE and context not in raw:
                continue
            line = parse(clean(raw))
            if line is None or line.text.startswith("harness-"):
                continue
            if line.context == context or len(found) < _BEFORE:
                found.append(line.text)
            if len(found) == wanted:
                break
        return found[::-1]

    def _close(self, draft: _Draft) -> tuple[KernelReport, ...]:
        self._open.remove(draft)
        if self._left == 0:
            return _counted(draft)
        found = explain(trimmed(draft.text), draft.line)
        if found is None:
            return ()
        if self._left is not None and found.kind != "canary":
            self._left -= 1
        return (
            replace(found, fatal=draft.fatal, before=draft.before, at=draft.at, boot=self._boot),
        )


def _counted(draft: _Draft) -> tuple[KernelReport, ...]:
    """Return a report of which nothing is said but that it is there."""
    if not has_needed_stack(draft.header, draft.text):
        return ()
    return (KernelReport(kind=draft.header.kind, title=draft.text[0], line=draft.line, text=()),)


def scan(lines: Iterable[str]) -> tuple[KernelReport, ...]:
    """Return every report of a whole log; one without timestamps is all the kernel's."""
    normaliser = Normaliser()
    found = causes.related(scan_blocks(_blocks(lines), normaliser))
    return tuple(sourced(report, normaliser) for report in found)


def sourced(report: KernelReport, normaliser: Normaliser) -> KernelReport:
    """Return a report whose lines are counted in the log as it was before it was normalised."""
    follows = report.follows
    return replace(
        report,
        line=normaliser.source_line(report.line),
        follows=normaliser.source_line(follows) if follows is not None else None,
    )


def _blocks(lines: Iterable[str]) -> Iterator[str]:
    """Yield text of about a block's size, cut at ends of lines."""
    held: list[str] = []
    size = 0
    for line in lines:
        held.append(line.removesuffix("\n"))
        size += len(line) + 1
        if size >= _BLOCK_CHARACTERS:
            yield "\n".join(held)
            held, size = [], 0
    if held:
        yield "\n".join(held)


def scan_blocks(blocks: Iterable[str], normaliser: Normaliser) -> Iterator[KernelReport]:
    """Yield every report of a log that comes in blocks of whole lines.

    Lines are counted as the normaliser left them; `sourced` says where they were. While no report
    is open only lines with a word that every header has are looked at, and a block without one is
    not even normalised, so quiet text costs next to nothing.
    """
    scanner = Scanner()
    for block in blocks:
        quiet = scanner.idle and is_quiet(block)
        text = normaliser.pass_over(block) if quiet else normaliser.block(block)
        yield from scan_block(scanner, text)
    yield from scanner.finish()


def is_quiet(block: str) -> bool:
    """Return whether a block holds no word of any header."""
    return not any(word in block for word in (*HINTS, *_BEGINNINGS))


def scan_block(scanner: Scanner, block: str) -> Iterator[KernelReport]:
    """Yield what one block of normalised lines completes, from one interesting line to the next."""
    at = 0
    starts = _interesting(block)
    target = next(starts, len(block) + 1)
    while at <= len(block):
        while target < at:
            target = next(starts, len(block) + 1)
        if scanner.idle:
            _pass_over(scanner, block[at : target - 1] if target > at else None)
            at = target
            if at > len(block):
                return
        end = block.find("\n", at)
        end = len(block) if end < 0 else end
        yield from scanner.feed(block[at:end], plain=at != target)
        at = end + 1


def _pass_over(scanner: Scanner, quiet: str | None) -> None:
    if quiet is None:
        return
    tail = quiet[-_KEPT * 120 :].split("\n")[-_KEPT:]
    latest = max((float(at) for at in _TIMES.findall(quiet)), default=0.0)
    scanner.skip(tail, quiet.count("\n") + 1, latest)


def _interesting(block: str) -> Iterator[int]:
    """Yield where the lines begin that may be a header or a beginning, in order, each once."""
    found: set[int] = set()
    for word in (*HINTS, *_BEGINNINGS):
        at = block.find(word)
        while at >= 0:
            found.add(block.rfind("\n", 0, at) + 1)
            end = block.find("\n", at)
            at = block.find(word, end) if end >= 0 else -1
    return iter(sorted(found))
