# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of guest.console: every byte reaches the file, every line the readers, every wait ends."""

import queue
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import GuestLost
from harness.guest.console import Console, Line, follow, plain


class Wire:
    """A byte source that a test feeds; b"" ends it, as when a guest's domain ends."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks: queue.Queue[bytes] = queue.Queue()
        self.written = b""
        for chunk in chunks:
            self.chunks.put(chunk)

    def read(self, _size_bytes: int) -> bytes:
        """Return the next chunk; wait for it."""
        return self.chunks.get(timeout=10)

    def write(self, data: bytes) -> None:
        """Record the bytes that are sent to the guest."""
        self.written += data

    def close(self) -> None:
        """End the byte source."""
        self.chunks.put(b"")


def test_a_line_that_arrives_in_pieces_is_returned_as_one_line(tmp_path: Path) -> None:
    """Pieces of a guest's console line are joined; the lines are numbered from 0."""
    with Console(Wire(b"fir", b"st\nsec", b"ond\n"), file=tmp_path / "log") as console:
        line = console.wait_for("second", deadline_s=5)

        assert (line.index, line.text) == (1, "second")
        assert [each.text for each in console.lines_since(0)] == ["first", "second"]


def test_the_console_file_has_every_byte_unchanged(tmp_path: Path) -> None:
    """The console's file keeps terminal codes, carriage returns and invalid UTF-8."""
    raw = b"\x1b[31mred\x1b[0m\r\n\xff\r\nno end"
    console = Console(Wire(raw, b""), file=tmp_path / "log")
    with console:
        console.wait_for("no end", deadline_s=5)

    assert (tmp_path / "log").read_bytes() == raw


def test_a_new_console_empties_its_file(tmp_path: Path) -> None:
    """The file has only the new guest's lines, because kernel reports give a line's number."""
    for raw in (b"the first guest\n", b"the second\n"):
        with Console(Wire(raw, b""), file=tmp_path / "log") as console:
            console.wait_for("guest|second", deadline_s=5)

    assert (tmp_path / "log").read_bytes() == b"the second\n"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x1b[1;31mred\x1b[0m\r", "red"),
        (b"\x1b]0;title\x07rest", "rest"),
        (b"\xff", "\\xff"),
        ("é".encode(), "é"),
        (b"[    1.0] x", "[    1.0] x"),
    ],
)
def test_plain_console_text_has_no_terminal_escapes_and_shows_invalid_utf_8_as_hex(
    raw: bytes, text: str
) -> None:
    """Colours, titles and carriage returns are removed; invalid UTF-8 is shown as escapes."""
    assert plain(raw) == text


def test_a_wait_for_a_line_that_times_out_raises_guest_lost_with_the_last_console_lines(
    tmp_path: Path,
) -> None:
    """The error of a wait that times out has the last lines, an unfinished one included."""
    with (
        Console(Wire(b"booting\nlogin: "), file=tmp_path / "log") as console,
        pytest.raises(GuestLost) as caught,
    ):
        console.wait_for("never", deadline_s=0.2)

    assert caught.value.evidence == ("booting", "login: ")


def test_a_wait_for_a_line_fails_as_soon_as_the_console_ends(tmp_path: Path) -> None:
    """A wait for a line fails as soon as the console ends, before its deadline."""
    with (
        Console(Wire(b"bye\n", b""), file=tmp_path / "log") as console,
        pytest.raises(GuestLost, match="console ended"),
    ):
        console.wait_for("never", deadline_s=60)


def test_a_wait_with_since_ignores_equal_earlier_lines(tmp_path: Path) -> None:
    """A wait for console text from line number `since` on ignores equal text before it."""
    with Console(Wire(b"ready\nother\nready\n"), file=tmp_path / "log") as console:
        assert console.wait_for(lambda text: text == "ready", deadline_s=5, since=1).index == 2


def test_a_late_subscriber_gets_all_earlier_and_later_lines_once(tmp_path: Path) -> None:
    """A callback that subscribes to a console gets the earlier lines, then each new one."""
    wire = Wire(b"one\n")
    got: list[Line] = []
    with Console(wire, file=tmp_path / "log") as console:
        console.wait_for("one", deadline_s=5)
        console.subscribe(got.append)
        wire.chunks.put(b"two\n")
        console.wait_for("two", deadline_s=5)

    assert [(line.index, line.text) for line in got] == [(0, "one"), (1, "two")]


def test_close_ends_a_blocked_read(tmp_path: Path) -> None:
    """Closing a console ends its thread that waits for bytes; a second close does no harm."""
    console = Console(Wire(), file=tmp_path / "log")
    with console:
        assert not console.ended
    console.close()

    assert console.ended


def test_bytes_written_to_the_console_are_sent_to_the_guest(tmp_path: Path) -> None:
    """Bytes that are written to the console are sent to the guest."""
    wire = Wire()
    with Console(wire, file=tmp_path / "log") as console:
        console.write(b"h")

    assert wire.written == b"h"


def true_times(answers: int) -> Callable[[], bool]:
    """Return a function that returns True so many times, then False."""
    left = iter([True] * answers)
    return lambda: next(left, False)


def test_follow_returns_lines_until_the_guest_has_ended(tmp_path: Path) -> None:
    """`follow` of a console's file ends after the guest, with its unfinished last line."""
    file = tmp_path / "log"
    file.write_bytes(b"one\r\n\x1b[1mtwo\nthr")

    assert list(follow(file, alive=true_times(2))) == ["one", "two", "thr"]
