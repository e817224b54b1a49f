# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of report.kernel_log: every console line is in exactly one part, that of its test."""

from pathlib import Path

from harness.guest.log_watch import LogWatch
from harness.model.guest_history import TestMark
from harness.report import kernel_log
from harness.report.kernel_log import split

LINES = [
    "[    1.000000] boot",
    "[    2.000000] harness-test-begin t::one",
    "[    2.100000] inside one",
    "[    2.200000] harness-test-end t::one",
    "[    2.300000] after one",
    "[    3.000000] harness-test-begin t::two",
    "[    3.100000] the end came in the middle",
]


def marks(lines: list[str] = LINES) -> tuple[TestMark, ...]:
    """Return the marks that are seen while a console is read."""
    watch = LogWatch(run_id="run", token="", started_at=0.0)
    for line in lines:
        watch.feed(line, 0.0)
    return watch.marks


def test_a_console_is_split_at_the_lines_that_mark_start_and_end_of_a_test() -> None:
    """A test's part is named after it; lines before and between tests: 'start' and after-TEST."""
    parts = {part.name: part.lines for part in split(LINES, marks())}

    assert list(parts) == ["start", "t::one", "after-t::one", "t::two"]
    assert parts["t::one"] == tuple(LINES[1:4])
    assert parts["t::two"] == tuple(LINES[5:])


def test_the_parts_of_a_console_contain_every_line() -> None:
    """The parts into which a run splits its guest's console by tests join to the whole console."""
    assert [line for part in split(LINES, marks()) for line in part.lines] == LINES


def test_a_console_without_marks_is_one_part() -> None:
    """A console without lines that mark tests is one part named 'start', an empty one has none."""
    assert [part.name for part in split(["only line"], ())] == ["start"]
    assert list(split([], ())) == []


def test_a_carriage_return_does_not_end_a_line_of_the_console(tmp_path: Path) -> None:
    """A CR within a line does not move the numbers of the lines at which tests begin."""
    console = tmp_path / "console.log"
    raw = ["10%\r20%\r30%", *LINES]
    console.write_bytes("".join(f"{line}\r\n" for line in raw).encode() + b"\xff")

    kernel_log.write(console, marks(raw), tmp_path / "kernel-log")

    files = sorted((tmp_path / "kernel-log").iterdir())
    names = ["000-start.log", "001-t::one.log", "002-after-t::one.log", "003-t::two.log"]
    assert [file.name for file in files] == names
    assert files[1].read_text().splitlines() == LINES[1:4]
    assert files[3].read_text().endswith("\\xff\n")


def test_a_guest_without_a_console_leaves_no_file(tmp_path: Path) -> None:
    """If a guest ended before its console was open, there is nothing to split by tests."""
    kernel_log.write(tmp_path / "console.log", (), tmp_path / "kernel-log")

    assert list(tmp_path.iterdir()) == []


def test_a_test_with_a_long_name_of_other_letters_gets_a_file(tmp_path: Path) -> None:
    """A name of a hundred letters, each of three bytes, exceeds no limit of the file system."""
    console = tmp_path / "console.log"
    console.write_text(f"[    1.000000] harness-test-begin t::{'試' * 100}\n")
    found = (TestMark(line=0, test=f"t::{'試' * 100}", begins=True),)

    kernel_log.write(console, found, tmp_path / "parts")

    (part,) = (tmp_path / "parts").iterdir()
    assert part.name.startswith("000-t::試")
    assert part.read_text() == console.read_text()
