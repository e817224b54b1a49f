# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""panic.lines: every prefix that a kernel line carries is taken off, and only a kernel line's."""

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
def test_each_timestamp_is_taken_off(line: str, context: str) -> None:
    """Text and context of every format of printk, dmesg and syslog."""
    found = parse(line)

    assert found is not None
    assert (found.text, found.context) == ("BUG: x", context)
    assert (found.at is None) is ("] " not in line or "." not in line)


def test_a_time_is_seconds_of_the_kernels_clock() -> None:
    """A number that no clock reaches is none: it would be infinite in a report."""
    found = parse("[12345.678901] BUG: x")

    assert found is not None
    assert found.at == 12345.678901
    assert parse(f"[{'9' * 400}.000000] BUG: x") is None


@pytest.mark.parametrize(("line", "context"), BARE.items())
def test_a_log_without_times_has_prefixes_too(line: str, context: str) -> None:
    """Level, context and the date of whoever kept the log."""
    assert parse(line) is None
    assert parse(Normaliser().block(line)) == KernelLine("BUG: x", context)


@pytest.mark.parametrize("line", NOT_THE_KERNELS)
def test_what_others_print_is_no_kernel_line(line: str) -> None:
    """Without a time of the kernel's, nothing is its."""
    assert parse(line) is None


def test_two_cpus_on_one_line_are_two_lines() -> None:
    """A line is cut before each timestamp but the first; nothing of it is lost."""
    line = "login: [    1.000000] eth0: li[    1.000001][ T7] BUG: x"

    assert list(pieces(line)) == ["login: [    1.000000] eth0: li", "[    1.000001][ T7] BUG: x"]
    assert list(pieces("no time at all")) == ["no time at all"]


def test_escapes_and_returns_are_taken_off() -> None:
    """A console's colours and carriage returns do not hide a line."""
    assert clean("\x1b[31m[    1.000000] BUG: x\x1b[0m\r") == "[    1.000000] BUG: x"
    assert kernel_text("[    1.000000] ") == ""
    assert kernel_text("[ OK ] Started") is None


def test_a_line_beyond_all_reason_is_cut() -> None:
    """Printk ends a line at 1024 characters; the rest is nobody's."""
    assert len(clean("x" * 1_000_000)) == 2048
