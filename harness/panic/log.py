# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read a log of Linux or macOS block by block: its kernel reports and suspicious lines.

The blocks are normalised once and given to both scanners. A log has reports of one system only,
and the caller need not name the system.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.panic import darwin
from harness.panic.intake.normalise import Normaliser
from harness.panic.scan import Scanner, is_quiet, scan_block
from harness.panic.values import KernelReport

# Words that a healthy system does not log. A log with them but without a report was not
# understood.
_CRASH_WORDS = re.compile(
    r"Kernel panic - not|[Uu]nable to handle (?:kernel|page)|kernel BUG at|\bOops(?:\[#|: [0-9a-f]{4}\b)|"
    r"general protection fault(?!.* error:.* in )|BUG: (?:KASAN|KMSAN|KFENCE|soft lockup|unable|kernel|sched|sleep)|"
    r"soft lockup - CPU|blocked for more than \d+ sec|detected stall|hard LOCKUP|"
    r"-\[ cut here \]-|---\[ end (?:trace|Kernel)|\bRIP: 0010:|\b(?:kasan_report|dump_stack(?:_lvl)?)\+0x|panic ?\(cpu \d|\"panicString\"|"
    r"Internal error: \w|Machine Check Exception|Unresolved kernel trap|circular locking dependency"
)
# journald writes a message as a list of numbers when it contains a control character.
_AS_BYTES = re.compile(r'"MESSAGE" ?: ?\[')
_MOST_SUSPECTS = 10


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A line with words of a crash in a log in which no report was found; `line` counts from 0."""

    line: int
    text: str


class LogReader:
    """A reader that takes the blocks of one log and yields the kernel reports in it.

    After the first `detailed` reports, a report of Linux has only its kind, title and line; None
    means no limit. After `read`, `suspects` are the first 10 lines with words of a crash, or empty
    if there was a report.
    """

    def __init__(self, *, detailed: int | None = None) -> None:
        self.normaliser = Normaliser()
        self.suspects: list[Suspect] = []
        self._scanner = Scanner(detailed=detailed)
        self._panics = darwin.PanicScanner()
        self._reported = False
        self._lines = 0

    def read(self, blocks: Iterable[str]) -> Iterator[KernelReport]:
        """Yield every kernel report in the blocks; its `line` counts in the normalised log.

        `Normaliser.source_line` converts that line to the source log's.
        """
        for block in blocks:
            for report in self._block(block):
                self._reported = self._reported or report.kind != "canary"
                yield report
            self._suspect(block)
        for report in (*self._scanner.finish(), *self._panics.finish()):
            self._reported = self._reported or report.kind != "canary"
            yield report
        if self._reported:
            self.suspects.clear()

    def _block(self, block: str) -> Iterator[KernelReport]:
        idle = self._scanner.idle and self._panics.idle
        if idle and is_quiet(block) and _AS_BYTES.search(block) is None:
            text = self.normaliser.pass_over(block)
        else:
            text = self.normaliser.block(block)
        yield from scan_block(self._scanner, text)
        if self._panics.idle and not any(word in text for word in darwin.WORDS):
            self._panics.skip(text.count("\n") + 1)
            return
        for line in text.split("\n"):
            yield from self._panics.feed(line)

    def _suspect(self, block: str) -> None:
        """Collect a block's first lines with words of a crash, as long as no report was found."""
        at, number = 0, self._lines
        while not self._reported and len(self.suspects) < _MOST_SUSPECTS:
            match = _CRASH_WORDS.search(block, at)
            if match is None:
                break
            start = block.rfind("\n", at, match.start()) + 1
            number += block.count("\n", at, match.start())
            text = block[max(start, at) : match.end() + 100].partition("\n")[0].strip()
            self.suspects.append(Suspect(line=number, text=text[:200]))
            end = block.find("\n", match.end())
            if end < 0:
                break
            at, number = end + 1, number + 1
        self._lines += block.count("\n") + 1
