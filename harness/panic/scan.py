# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find the kernel's reports in a console, line by line as it arrives, with bounded memory.

A report begins with a line that one of `headers` matches. It ends with the kernel's own end mark,
with the mark of a test, with the next header, when the log shows another boot, when two heartbeats
pass without a new line, or at the largest number of lines. Until then it is open. Where printk
names the thread or CPU that prints (CONFIG_PRINTK_CALLER), each of them can have an open report;
otherwise only one report is open. Some headers only continue the open report: an oops that panics
before its end is one report, which becomes fatal.
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

# Reports with the stacks of many tasks are long. Lines beyond this number no longer belong to the
# report.
_MOST_LINES = 400
# No kernel writes more reports than this at the same time.
_MOST_OPEN = 8
_ENDS = ("---[ end trace", "---[ end Kernel panic")
_FATAL_END = "---[ end Kernel panic"
# Other CPUs answer a report that asks for every CPU's stack. Their lines belong to that report.
_ANSWER = "NMI backtrace for cpu "
# Lines shown from before a report: at most this many of any origin, or of the same thread or CPU.
_BEFORE, _BEFORE_SAME = 5, 50
_KEPT = 100
# The log's clock may restart at these lines: at a boot, or when another guest was restored.
_BEGINNINGS = ("Linux version ", "harness-test-begin")
_TIMES = re.compile(r"\[ *(\d{1,12}\.\d{6})\]")
# Text is searched for the words of `HINTS` in blocks of this size.
_BLOCK_CHARACTERS = 1 << 20


@dataclass
class _Draft:
    """A kernel report that is still being read: its header and its lines so far.

    `contexts` are the threads or CPUs whose lines belong to it, `before` the lines before it, and
    `beats` the heartbeats since its last line.
    """

    header: Header
    line: int
    at: float | None
    contexts: set[str]
    before: tuple[str, ...]
    fatal: bool
    text: list[str] = field(default_factory=list)
    beats: int = 0


class Scanner:
    """A scanner that gets console lines in order and returns each kernel report once complete.

    `follows` is not set: `causes.related` finds later which report follows from which. After the
    first `detailed` reports (None for no limit) only kind, line and first line are given, so that
    they can be counted.
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
        """Whether no report is being read, so that only a line that begins one matters next."""
        return not self._open

    def feed(self, line: str, *, plain: bool = False) -> tuple[KernelReport, ...]:
        """Read the next console line, and return the reports that this line completes.

        `plain` says that the caller has found none of the words of `HINTS` in the line, so it
        begins no report.
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
        """Count `count` lines as read; none of them may begin a report. `lines` are the last ones.

        Units: `latest` is the greatest time in the skipped lines, in seconds of the kernel's
            clock.
        """
        self._index += count
        self._at = max(self._at, latest)
        self._recent.extend(lines)

    def finish(self) -> tuple[KernelReport, ...]:
        """Return the kernel reports that the end of the console ends."""
        done = [report for draft in tuple(self._open) for report in self._close(draft)]
        return tuple(sorted(done, key=lambda report: report.line))

    def _take(self, line: KernelLine, *, plain: bool) -> tuple[KernelReport, ...]:
        return self._of_earlier_boot(line) + self._of_this_boot(line, plain=plain)

    def _of_earlier_boot(self, line: KernelLine) -> tuple[KernelReport, ...]:
        """Return the kernel reports that end because this line shows another boot.

        A restarted clock shows it. The result is () for any other line.
        """
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
        if draft is not None and causes.goes_on(draft.header.kind, hit, draft.text):
            draft.fatal = draft.fatal or hit[0].fatal
            return self._go_on(draft, line)
        ended = self._close(draft) if draft is not None else ()
        return ended + self._begin(hit[0], line)

    def _of(self, line: KernelLine) -> _Draft | None:
        """Return the open kernel report to which a line's thread or CPU belongs, or None."""
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
        """Count a heartbeat, and return the reports that it ends.

        They are those that got no line since the heartbeat before.
        """
        for draft in self._open:
            draft.beats += 1
        still = [draft for draft in tuple(self._open) if draft.beats > 1]
        return tuple(report for draft in still for report in self._close(draft))

    def _before(self, context: str) -> list[str]:
        """Return the last kernel lines before a report, oldest first, to be shown with it.

        `context` is the thread or CPU that printed the header, "" where printk does not name it.
        Where it is known, more lines are returned; the additional, older lines are all from this
        context.
        """
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
    """Return a kernel report with only kind, title and line, as a tuple of one.

    The result is () if the report's kind needs a stack and it has none.
    """
    if not has_needed_stack(draft.header, draft.text):
        return ()
    return (KernelReport(kind=draft.header.kind, title=draft.text[0], line=draft.line, text=()),)


def scan(lines: Iterable[str]) -> tuple[KernelReport, ...]:
    """Return every kernel report of a whole log, each with `follows`: its cause's line, or None.

    Where no line has a prefix (a time or a program's name), every line counts as the kernel's. The
    lines of another program never do.
    """
    normaliser = Normaliser()
    found = causes.related(scan_blocks(_blocks(lines), normaliser))
    return tuple(sourced(report, normaliser) for report in found)


def sourced(report: KernelReport, normaliser: Normaliser) -> KernelReport:
    """Return a report with line numbers of the source log instead of the normalised log."""
    follows = report.follows
    return replace(
        report,
        line=normaliser.source_line(report.line),
        follows=normaliser.source_line(follows) if follows is not None else None,
    )


def _blocks(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines joined to blocks of about 1 MiB, each of whole lines."""
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
    """Yield every kernel report of a log that comes in blocks of whole lines, without `follows`.

    Lines are counted in the normalised log; `sourced` converts them. While no report is being
    read, only lines with a word of `HINTS` are examined, and a block without such a word is not
    even normalised. So text without reports costs little time.
    """
    scanner = Scanner()
    for block in blocks:
        quiet = scanner.idle and is_quiet(block)
        text = normaliser.pass_over(block) if quiet else normaliser.block(block)
        yield from scan_block(scanner, text)
    yield from scanner.finish()


def is_quiet(block: str) -> bool:
    """Return whether a log block contains none of the words that reports and boots begin with."""
    return not any(word in block for word in (*HINTS, *_BEGINNINGS))


def scan_block(scanner: Scanner, block: str) -> Iterator[KernelReport]:
    """Give one block of normalised lines to a scanner, and yield the reports that it completes.

    While no report is being read, only lines that may begin one are read.
    """
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
    # Only the last lines are kept, so only the text's end is split.
    tail = quiet[-_KEPT * 120 :].split("\n")[-_KEPT:]
    latest = max((float(at) for at in _TIMES.findall(quiet)), default=0.0)
    scanner.skip(tail, quiet.count("\n") + 1, latest)


def _interesting(block: str) -> Iterator[int]:
    """Yield the offset of each line in a log block that may begin a kernel report or a boot."""
    found: set[int] = set()
    for word in (*HINTS, *_BEGINNINGS):
        at = block.find(word)
        while at >= 0:
            found.add(block.rfind("\n", 0, at) + 1)
            end = block.find("\n", at)
            at = block.find(word, end) if end >= 0 else -1
    return iter(sorted(found))
