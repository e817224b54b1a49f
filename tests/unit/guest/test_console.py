# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""console: every byte reaches the file, every line the reader, and no wait lasts for ever."""

import queue
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import GuestLost
from harness.guest.console import Console, Line, follow, plain


class Wire:
    """A byte source that a test feeds; b"" ends it, as a gone domain would."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks: queue.Queue[bytes] = queue.Queue()
        self.written = b""
        for chunk in chunks:
            self.chunks.put(chunk)

    def read(self, _size_bytes: int) -> bytes:
        """Return the next chunk, waiting for it."""
        return self.chunks.get(timeout=10)

    def write(self, data: bytes) -> None:
        """Remember what was typed."""
        self.written += data

    def close(self) -> None:
        """End the source."""
        self.chunks.put(b"")


def test_lines_split_across_reads_are_whole(tmp_path: Path) -> None:
    """A line that arrives in pieces is one line, numbered from 0."""
    with Console(Wire(b"fir", b"st\nsec", b"ond\n"), file=tmp_path / "log") as console:
        line = console.wait_for("second", deadline_s=5)

        assert (line.index, line.text) == (1, "second")
        assert [each.text for each in console.lines_since(0)] == ["first", "second"]


def test_the_file_holds_every_byte_as_it_came(tmp_path: Path) -> None:
    """Escapes, carriage returns and bad UTF-8 stay in the file."""
    raw = b"\x1b[31mred\x1b[0m\r\n\xff\r\nno end"
    console = Console(Wire(raw, b""), file=tmp_path / "log")
    with console:
        console.wait_for("no end", deadline_s=5)

    assert (tmp_path / "log").read_bytes() == raw


def test_the_next_guests_console_is_a_file_of_its_own(tmp_path: Path) -> None:
    """Line numbers of a report count from this guest's first line."""
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
def test_plain_text_has_no_escapes(raw: bytes, text: str) -> None:
    """Colour, titles and carriage returns go; what is not UTF-8 is shown as it is."""
    assert plain(raw) == text


def test_a_wait_ends_at_its_deadline_with_the_last_lines(tmp_path: Path) -> None:
    """Silence is a failure that shows what was last said, unfinished lines included."""
    with (
        Console(Wire(b"booting\nlogin: "), file=tmp_path / "log") as console,
        pytest.raises(GuestLost) as caught,
    ):
        console.wait_for("never", deadline_s=0.2)

    assert caught.value.evidence == ("booting", "login: ")


def test_a_wait_ends_with_the_console(tmp_path: Path) -> None:
    """When the guest is gone, nobody waits for the deadline."""
    with (
        Console(Wire(b"bye\n", b""), file=tmp_path / "log") as console,
        pytest.raises(GuestLost, match="console ended"),
    ):
        console.wait_for("never", deadline_s=60)


def test_a_wait_can_skip_what_was_said_before(tmp_path: Path) -> None:
    """With `since`, an old line of the same text does not count."""
    with Console(Wire(b"ready\nother\nready\n"), file=tmp_path / "log") as console:
        assert console.wait_for(lambda text: text == "ready", deadline_s=5, since=1).index == 2


def test_a_late_subscriber_misses_nothing(tmp_path: Path) -> None:
    """A subscriber gets the lines from before, then each new one, in order and once."""
    wire = Wire(b"one\n")
    got: list[Line] = []
    with Console(wire, file=tmp_path / "log") as console:
        console.wait_for("one", deadline_s=5)
        console.subscribe(got.append)
        wire.chunks.put(b"two\n")
        console.wait_for("two", deadline_s=5)

    assert [(line.index, line.text) for line in got] == [(0, "one"), (1, "two")]


def test_close_ends_a_blocked_read(tmp_path: Path) -> None:
    """The console can always be left, and left twice."""
    console = Console(Wire(), file=tmp_path / "log")
    with console:
        assert not console.ended
    console.close()

    assert console.ended


def test_writing_reaches_the_guest(tmp_path: Path) -> None:
    """What is written to the console is typed into the guest."""
    wire = Wire()
    with Console(wire, file=tmp_path / "log") as console:
        console.write(b"h")

    assert wire.written == b"h"


def counted(answers: int) -> Callable[[], bool]:
    """Return a function that says True so many times, then False."""
    left = iter([True] * answers)
    return lambda: next(left, False)


def test_follow_reads_on_until_the_guest_is_gone(tmp_path: Path) -> None:
    """What is in the file comes at once, the unfinished last line at the end."""
    file = tmp_path / "log"
    file.write_bytes(b"one\r\n\x1b[1mtwo\nthr")

    assert list(follow(file, alive=counted(2))) == ["one", "two", "thr"]
