# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of lines: a kernel line's prefixes are taken off, and other programs' lines rejected."""

import pytest

from harness.panic.intake.lines import KernelLine, clean, kernel_text, parse, pieces
from harness.panic.intake.normalise import Normaliser

STAMPED = {
    "[    0.000000] BUG: x": "",
    "[12345.678901] BUG: x": "",
    "[    1.000000][    T1] BUG: x": "T1",
    "[    1.000000][   C12] BUG: x": "C12",
    "[    1.000000] [  T123] BUG: x": "T123",
    "<3>[    1.000000] BUG: x": "",
    "[    1.000000] <3>BUG: x": "",
    "kern  :err   : [    1.000000] BUG: x": "",
    "guest login: [    1.000000] BUG: x": "",
    "** 44 printk messages dropped ** [    1.000000] BUG: x": "",
    "2026/11/25 09:39:44 [    1.000000][ T99] BUG: x": "T99",
    "[Wed Nov 25 09:39:44 2026] BUG: x": "",
    "2026-11-25T09:39:44,123456+00:00 BUG: x": "",
    "Nov 25 09:39:44 guest kernel: BUG: x": "",
    "Nov  5 09:39:44 guest kernel: [    1.000000] BUG: x": "",
    "2026-11-25T09:39:44+0000 guest kernel: BUG: x": "",
}
BARE = {
    "BUG: x": "",
    "<3>BUG: x": "",
    "[   T12] BUG: x": "T12",
    "2026/11/25 09:39:44 BUG: x": "",
}
NOT_THE_KERNELS = [
    "BUG: x",
    "[  OK  ] Started a service",
    "[1.5] BUG: x",
    "Nov 25 09:39:44 guest program[12]: BUG: x",
    "",
]


@pytest.mark.parametrize(("line", "context"), STAMPED.items())
def test_timestamps_of_printk_dmesg_and_syslog_are_removed_from_a_line(
    line: str, context: str
) -> None:
    """Every timestamp of printk, dmesg and syslog is taken off; text and context are left."""
    found = parse(line)

    assert found is not None
    assert (found.text, found.context) == ("BUG: x", context)
    assert (found.at is None) is ("] " not in line or "." not in line)


def test_a_timestamp_is_returned_in_seconds() -> None:
    """A timestamp is returned in seconds; a number too large for any clock is no timestamp."""
    found = parse("[12345.678901] BUG: x")

    assert found is not None
    assert found.at == 12345.678901
    assert parse(f"[{'9' * 400}.000000] BUG: x") is None


@pytest.mark.parametrize(("line", "context"), BARE.items())
def test_level_context_and_date_prefixes_of_a_log_without_printk_times_are_removed(
    line: str, context: str
) -> None:
    """In a log without printk's times, level, context and date are taken off as prefixes."""
    assert parse(line) is None
    assert parse(Normaliser().block(line)) == KernelLine("BUG: x", context)


@pytest.mark.parametrize("line", NOT_THE_KERNELS)
def test_lines_without_a_kernel_timestamp_or_of_another_program_are_no_kernel_lines(
    line: str,
) -> None:
    """A line of user space is not taken for a line that the kernel printed."""
    assert parse(line) is None


def test_a_line_with_two_timestamps_is_split_into_two_pieces_before_the_second_timestamp() -> None:
    """A line is cut before each timestamp but the first, and no text is lost."""
    line = "login: [    1.000000] eth0: li[    1.000001][ T7] BUG: x"

    assert list(pieces(line)) == ["login: [    1.000000] eth0: li", "[    1.000001][ T7] BUG: x"]
    assert list(pieces("no time at all")) == ["no time at all"]


def test_escapes_and_carriage_returns_are_removed() -> None:
    """`clean` removes colours and carriage returns of a console line."""
    assert clean("\x1b[31m[    1.000000] BUG: x\x1b[0m\r") == "[    1.000000] BUG: x"
    assert kernel_text("[    1.000000] ") == ""
    assert kernel_text("[ OK ] Started") is None


def test_a_line_of_a_million_characters_is_truncated_to_2048() -> None:
    """Only the start of a line of a million characters is kept, as printk prints at most 1024."""
    assert len(clean("x" * 1_000_000)) == 2048
