# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""kernel_log: every console line ends up in exactly one part, under the test it belongs to."""

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


def test_lines_are_cut_at_the_marks() -> None:
    """Start, a test, what came after it, and a test that never ended."""
    parts = {part.name: part.lines for part in split(LINES)}

    assert list(parts) == ["start", "t::one", "after-t::one", "t::two"]
    assert parts["t::one"] == tuple(LINES[1:4])
    assert parts["t::two"] == tuple(LINES[5:])


def test_no_line_is_lost() -> None:
    """Put together again, the parts are the console."""
    assert [line for part in split(LINES) for line in part.lines] == LINES


def test_a_console_without_marks_is_one_part() -> None:
    """Nothing at all gives no part."""
    assert [part.name for part in split(["only line"])] == ["start"]
    assert list(split([])) == []
