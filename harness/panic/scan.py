# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find the kernel's reports in a console, line by line as it comes, with bounded memory.

A report begins with one of `headers` and ends with the kernel's own end marks, with a test's
mark, or when it has grown beyond all reason. A header inside of a report continues it: an oops
that ends in a panic is one report, and its being fatal is taken over.
"""

from dataclasses import replace

from harness.model import KernelReport
from harness.panic.headers import Header, match
from harness.panic.lines import clean, kernel_text

# A report with the stacks of many tasks is long; one that is longer is not only a report.
_MOST_LINES = 400
_TITLE_CHARACTERS = 120
_ENDS = ("---[ end trace", "---[ end Kernel panic")
# What follows from a report that is open and not a finding of its own.
_CONTINUES = {"panic", "oops", "invalid-opcode", "double-fault"}
_FATAL_END = "---[ end Kernel panic"


class Scanner:
    """Takes console lines in order and gives each report when it is complete."""

    def __init__(self) -> None:
        self._index = -1
        self._open: KernelReport | None = None
        self._text: list[str] = []
        self._beats = 0

    def feed(self, line: str) -> tuple[KernelReport, ...]:
        """Take the next line; return the reports that it completes."""
        self._index += 1
        text = kernel_text(clean(line))
        if text is None:
            return ()
        if text.startswith("harness-test-"):
            return self.finish()
        if text.startswith("harness-heartbeat"):
            return self._beat()
        header = match(text)
        if header is not None and not self._continues(header):
            return (*self.finish(), *self._begin(header, text))
        return self._go_on(header, text)

    def finish(self) -> tuple[KernelReport, ...]:
        """Return the report that is still open, as at the end of the console."""
        done, self._open = self._open, None
        return (replace(done, text=tuple(self._text)),) if done is not None else ()

    def _continues(self, header: Header) -> bool:
        return self._open is not None and header.kind in _CONTINUES

    def _begin(self, header: Header, text: str) -> tuple[KernelReport, ...]:
        self._open = KernelReport(
            kind=header.kind,
            title=text[:_TITLE_CHARACTERS],
            line=self._index,
            text=(),
            fatal=header.fatal,
        )
        self._text, self._beats = [text], 0
        return self.finish() if header.kind == "canary" else ()

    def _go_on(self, header: Header | None, text: str) -> tuple[KernelReport, ...]:
        if self._open is None:
            return ()
        self._beats = 0
        self._text.append(text)
        if (header is not None and header.fatal) or text.startswith(_FATAL_END):
            self._open = replace(self._open, fatal=True)
        ended = text.startswith(_ENDS) or len(self._text) >= _MOST_LINES
        return self.finish() if ended else ()

    def _beat(self) -> tuple[KernelReport, ...]:
        """A report to which nothing was added between two heartbeats is complete."""
        self._beats += 1
        return self.finish() if self._beats > 1 else ()
