# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Show the progress of a run: a live display on a terminal, plain lines elsewhere.

A view never ends a run: after an error, such as a closed pipe or an odd character, a line is
missing on the display, and the tests continue.
"""

import contextlib
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from harness.model.settings import TestResult, Verdict

_REFRESH_PER_S = 4
# So many lines of a bad result are shown: a test's own lines, and below them the guest's words.
_SHOWN_LINES = 40
_MARKS = {
    Verdict.PASSED: ("✓", "green"),
    Verdict.SKIPPED: ("-", "yellow"),
    Verdict.FAILED: ("✗", "red"),
    Verdict.CRASHED: ("✗", "bold red"),
    Verdict.LOST: ("?", "magenta"),
}


class LiveView(Protocol):
    """The interface through which a run reports its progress; a context manager."""

    def stage(self, name: str) -> None:
        """Show that a stage of the run begins, such as the build or the boot of the guest."""

    def note(self, text: str) -> None:
        """Show a line about an event."""

    def console(self, text: str) -> None:
        """Show a new line of the guest's console."""

    def plan(self, count: int) -> None:
        """Show how many results the suite that runs now will have in all."""

    def output(self, line: str) -> None:
        """Show a line that the user's own command has printed in the guest."""

    def running(self, name: str) -> None:
        """Show that a test begins."""

    def test(self, result: TestResult) -> None:
        """Show the result of a test."""

    def crash(self, screen: Sequence[str]) -> None:
        """Show an explained crash: one screen of text."""

    def aside(self) -> AbstractContextManager[None]:
        """Leave the terminal to another program for as long as the block lasts."""

    def __enter__(self) -> Self:
        """Begin to show progress."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop showing progress."""


class _Progress:
    """A counter of the results that a suite has given, beside the number that it will give."""

    def __init__(self) -> None:
        self._done = 0
        self._total = 0

    def plan(self, total: int) -> None:
        """Keep the number of results that the suite has in all."""
        self._total = total

    def count(self) -> None:
        """Count one result."""
        self._done += 1

    def text(self, before: str = "") -> str:
        """Return `before` and "23 of 104", or "" when there are more results than were planned.

        As long as no number was planned, it counts as 0.
        """
        return f"{before}{self._done} of {self._total}" if self._done <= self._total else ""


def _bad_lines(result: TestResult) -> Iterator[str]:
    """Yield what is shown of a bad result: its reason and its last diagnostics."""
    if result.verdict in {Verdict.PASSED, Verdict.SKIPPED}:
        return
    for line in (result.reason, *result.diagnostics[-_SHOWN_LINES:]):
        if line:
            yield line


class PlainView:
    """The live view as plain lines: each stage, note and result, with the seconds since the start.

    It implements LiveView for output that is not a terminal.
    """

    def __init__(self, *, verbose: bool = False, stream: TextIO | None = None) -> None:
        self._verbose = verbose
        self._stream = stream or sys.stdout
        self._begun = time.monotonic()
        self._progress = _Progress()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def stage(self, name: str) -> None:
        """Write the stage's name."""
        self._progress = _Progress()
        self._write(f"== {name}")

    def note(self, text: str) -> None:
        """Write the note."""
        self._write(f"   {text}")

    def console(self, text: str) -> None:
        """Write the console's line in verbose mode."""
        if self._verbose:
            self._write(f" | {text}")

    def plan(self, count: int) -> None:
        """Keep the planned number of results, which the lines of results show."""
        self._progress.plan(count)

    def output(self, line: str) -> None:
        """Write the line that the user's command has printed."""
        self._write(f"   {line}")

    def running(self, name: str) -> None:
        """Write the test's name in verbose mode."""
        if self._verbose:
            self._write(f"   running {name}")

    def test(self, result: TestResult) -> None:
        """Write the result; of a bad result also its reason and last diagnostics."""
        self._progress.count()
        took = f"{result.duration_s:.1f} s{self._progress.text(', ')}"
        self._write(f"   {result.verdict.value:8} {result.name} ({took})")
        for line in _bad_lines(result):
            self._write(f"            {line}")

    def crash(self, screen: Sequence[str]) -> None:
        """Write every line of the explained crash."""
        for line in screen:
            self._write(f"  {line}")

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Write no lines of the console, nor names of beginning tests, while the block lasts."""
        verbose, self._verbose = self._verbose, False
        try:
            yield
        finally:
            self._verbose = verbose

    def _write(self, text: str) -> None:
        # The console of a guest may hold any character, and the stream's encoding need not have
        # it.
        safe = text.encode(self._stream.encoding or "utf-8", "backslashreplace")
        line = safe.decode(self._stream.encoding or "utf-8")
        # Lines come from the thread of the console, too. A closed stream raises ValueError.
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(f"{time.monotonic() - self._begun:7.1f} {line}\n")
            self._stream.flush()


class RichView:
    """The live view on a terminal: finished stages with their time, the current one, counts.

    Its last line is the last line of the guest's console. Notes, results, and lines of the user's
    command are printed above the display.
    """

    def __init__(self, *, color: bool = True, console: Console | None = None) -> None:
        self._console = console or Console(no_color=not color, highlight=False)
        self._begun = time.monotonic()
        self._stage = ""
        self._stage_begun = self._begun
        self._test = ""
        self._last_line = ""
        self._counts: Counter[Verdict] = Counter()
        self._progress = _Progress()
        self._live = Live(
            console=self._console,
            # The picture is made again at each refresh, so that its times move while nothing is
            # reported.
            get_renderable=self._picture,
            refresh_per_second=_REFRESH_PER_S,
            # The moving lines disappear at the end; what was printed above them stays.
            transient=True,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_stage()
        with contextlib.suppress(OSError):
            self._live.stop()

    def stage(self, name: str) -> None:
        """Finish the previous stage and begin this one."""
        self._end_stage()
        self._stage, self._stage_begun, self._test = name, time.monotonic(), ""
        self._progress = _Progress()

    def note(self, text: str) -> None:
        """Print the note above the live display."""
        self._print(Text(f"  {text}", style="dim"))

    def console(self, text: str) -> None:
        """Keep the last console line for the live display."""
        if text.strip():
            self._last_line = text

    def plan(self, count: int) -> None:
        """Keep the planned number of results, which the display shows."""
        self._progress.plan(count)

    def output(self, line: str) -> None:
        """Print the line of the user's command above the live display."""
        self._print(Text(line))

    def running(self, name: str) -> None:
        """Show which test runs."""
        self._test = name

    def test(self, result: TestResult) -> None:
        """Count the result, and print it."""
        self._progress.count()
        self._counts[result.verdict] += 1
        self._test = ""
        mark, style = _MARKS[result.verdict]
        self._print(Text(f"  {mark} {result.name} ({result.duration_s:.1f} s)", style=style))
        for line in _bad_lines(result):
            self._print(Text(f"      {line}"))

    def crash(self, screen: Sequence[str]) -> None:
        """Print every line of the explained crash above the display, the first one in red."""
        # Line 0 is a rule, line 1 the title.
        for number, line in enumerate(screen):
            self._print(Text(line, style="bold red" if number == 1 else ""))

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Remove the live display during the block, so that another program has the terminal."""
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def _end_stage(self) -> None:
        if self._stage:
            took = time.monotonic() - self._stage_begun
            self._print(Text(f"{self._stage:24} {took:6.1f} s"))
        self._stage = ""

    def _print(self, text: Text) -> None:
        with contextlib.suppress(OSError):
            self._console.print(text)

    def _picture(self) -> RenderableType:
        now = time.monotonic()
        total = f"whole run {now - self._begun:.0f} s"
        head = f"{self._stage:24} {now - self._stage_begun:6.1f} s   {total}"
        counts = ", ".join(f"{count} {kind.value}" for kind, count in self._counts.items())
        lines = [Text(head, style="bold", no_wrap=True, overflow="ellipsis")]
        if self._test or counts:
            words = (self._progress.text(), self._test, counts)
            shown = "  ".join(word for word in words if word)
            lines.append(Text(f"  {shown}", no_wrap=True, overflow="ellipsis"))
        lines.append(
            Text(f"  | {self._last_line}", style="dim", no_wrap=True, overflow="ellipsis")
        )
        return Group(*lines)
