# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read a guest's serial console: write every byte to a file, pass every line to subscribers.

The bytes come from any source (`domain.Domain.open_console` returns one), and are read in a
thread. `panic` and `log_watch` interpret the lines; this module does not.
"""

import codecs
import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from harness.errors import GuestLost

_LOG = logging.getLogger(__name__)
_CHUNK_BYTES = 64 * 1024
# ECMA-48: CSI sequences, OSC strings up to their terminator, and two-character escapes.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_=>78])")
_EVIDENCE_LINES = 50
_STOP_DEADLINE_S = 5.0
_FOLLOW_INTERVAL_S = 0.1


class ByteSource(Protocol):
    """A source of a console's bytes; `close` from another thread ends a blocked `read`."""

    def read(self, size_bytes: int) -> bytes:
        """Return the next bytes, b"" at the end."""

    def write(self, data: bytes) -> None:
        """Send bytes to the guest."""

    def close(self) -> None:
        """Close the source; may be called twice."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One console line: its number from 0, its time of arrival (monotonic), its plain text."""

    index: int
    at: float
    text: str


def plain(raw: bytes) -> str:
    """Return a line as text without CR and terminal codes, undecodable bytes as escapes."""
    text = raw.decode("utf-8", errors="backslashreplace")
    return _ANSI.sub("", text).replace("\r", "")


class Console:
    """The console of one guest from its first byte to its last; a context manager.

    The console's file is emptied at the start; without a file no copy is kept.

    New lines are passed to subscribers in the reading thread, in order, one line at a time. A slow
    subscriber delays the guest.
    """

    def __init__(self, source: ByteSource, *, file: Path | None) -> None:
        self._source = source
        # Without a buffer the file is complete when the harness is killed.
        self._file: BinaryIO | None = file.open("wb", buffering=0) if file else None
        self._news = threading.Condition()
        self._lines: list[Line] = []
        self._rest = b""
        self._last_byte_at = time.monotonic()
        self._ended = False
        self._subscribers: list[Callable[[Line], None]] = []
        self._thread = threading.Thread(target=self._read, name="console", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading; call it before the domain is destroyed. May be called twice."""
        self._source.close()
        # A subscriber may close the console from the reading thread, which cannot join itself.
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_STOP_DEADLINE_S)
            if self._thread.is_alive():
                _LOG.warning("the console's thread did not end")

    def subscribe(self, callback: Callable[[Line], None]) -> None:
        """Call `callback` for every line, also for the lines that have already arrived.

        For the lines that have already arrived, `callback` is called in the caller's thread.
        """
        with self._news:
            for line in self._lines:
                callback(line)
            self._subscribers.append(callback)

    def write(self, data: bytes) -> None:
        """Send bytes to the guest, as if they were typed."""
        self._source.write(data)

    @property
    def last_byte_at(self) -> float:
        """The time of arrival of the console's last byte (monotonic).

        Before the first byte it is the time at which this object was made.
        """
        with self._news:
            return self._last_byte_at

    @property
    def ended(self) -> bool:
        """Whether reading has ended.

        It ends when the domain is gone, the console is closed, or its file cannot be written.
        """
        with self._news:
            return self._ended

    def lines_since(self, index: int) -> tuple[Line, ...]:
        """Return the complete lines from line number `index` on."""
        with self._news:
            return tuple(self._lines[index:])

    def tail(self, count: int = _EVIDENCE_LINES) -> tuple[str, ...]:
        """Return the last `count` lines as text, including a last one that has no newline yet."""
        with self._news:
            texts = [line.text for line in self._lines[-count:]] if count > 0 else []
            if self._rest and not self._ended:
                texts.append(plain(self._rest))
            return tuple(texts[-count:])

    def wait_for(
        self,
        wanted: str | re.Pattern[str] | Callable[[str], bool],
        *,
        deadline_s: float,
        since: int = 0,
    ) -> Line:
        """Return the first line, from line number `since` on, that matches.

        Shape: a string is a regular expression, searched for anywhere in the text.
        Units: deadline_s is seconds from now on the monotonic clock.
        Raises: GuestLost at the end of the console or at the deadline, with the last lines.
        """
        fits = _predicate(wanted)
        end = time.monotonic() + deadline_s
        position = since
        while True:
            with self._news:
                fresh, over = self._lines[position:], self._ended
                if not fresh and not over:
                    self._news.wait(max(0.0, end - time.monotonic()))
                    fresh, over = self._lines[position:], self._ended
            for line in fresh:
                if fits(line.text):
                    return line
            position += len(fresh)
            if not fresh and (over or time.monotonic() >= end):
                why = "the console ended" if over else f"{deadline_s:.0f} s passed"
                raise GuestLost(f"{why}, and no line matched {wanted!r}", evidence=self.tail())

    def _read(self) -> None:
        try:
            while data := self._source.read(_CHUNK_BYTES):
                if self._file is not None:
                    self._file.write(data)
                self._take(data)
        except OSError as error:
            _LOG.error("the console's file cannot be written: %s", error)
        finally:
            # A dying kernel may stop in the middle of a line.
            if self._rest:
                self._take(b"\n")
            with self._news:
                self._ended = True
                self._news.notify_all()
            if self._file is not None:
                self._file.close()

    def _take(self, data: bytes) -> None:
        now = time.monotonic()
        with self._news:
            *whole, self._rest = (self._rest + data).split(b"\n")
            self._last_byte_at = now
            first = len(self._lines)
            fresh = [
                Line(index=first + number, at=now, text=plain(raw))
                for number, raw in enumerate(whole)
            ]
            self._lines.extend(fresh)
            # Under the lock, so that a new subscriber gets each line once and in order.
            for line in fresh:
                for callback in self._subscribers:
                    callback(line)
            self._news.notify_all()


def follow(path: Path, *, alive: Callable[[], bool]) -> Iterator[str]:
    """Yield the lines of a console's file, and wait for more as long as `alive` returns True.

    When `alive` returns False, the lines still in the file are yielded first, and an unfinished
    last line, too.
    """
    # A read may end within a character, so the decoder must remember its first bytes.
    decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
    pending: deque[str] = deque([""])
    with path.open("rb") as file:
        while True:
            # Before the read, so that the bytes of the guest's last moment are read as well.
            going = alive()
            data = file.read(_CHUNK_BYTES)
            pending.extend((pending.pop() + decoder.decode(data)).split("\n"))
            while len(pending) > 1:
                yield _ANSI.sub("", pending.popleft()).replace("\r", "")
            if not data and not going:
                break
            if not data:
                time.sleep(_FOLLOW_INTERVAL_S)
    if pending[0]:
        yield _ANSI.sub("", pending[0]).replace("\r", "")


def _predicate(
    wanted: str | re.Pattern[str] | Callable[[str], bool],
) -> Callable[[str], bool]:
    if isinstance(wanted, str):
        wanted = re.compile(wanted)
    if isinstance(wanted, re.Pattern):
        pattern = wanted
        return lambda text: pattern.search(text) is not None
    return wanted
