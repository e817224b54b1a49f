# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of systems.macos.message_buffer: new lines are found by content, not by their number."""

import pytest

from harness.systems.macos import message_buffer

# The message buffer before and after some messages, and the lines that are new.
CASES = {
    "nothing new": (("one", "two"), ("one", "two"), ()),
    "not full": (("one", "two"), ("one", "two", "three"), ("three",)),
    "empty before": ((), ("one", "two"), ("one", "two")),
    "empty now": (("one", "two"), (), ()),
    "whole lines overwritten": (("one", "two", "three"), ("three", "four"), ("four",)),
    "a line cut at its start": (("one", "twenty", "three"), ("ty", "three", "four"), ("four",)),
    "a line cut to nothing": (("one", "two", "three"), ("", "three", "four"), ("four",)),
    "nothing left": (("one", "two"), ("five", "six"), ("five", "six")),
    "more new than old lines": (("one", "two"), ("two", "a", "b", "c"), ("a", "b", "c")),
    "a line repeated": (("on", "on", "on"), ("on", "on", "on", "on"), ("on",)),
    "a line continued": (("one", "tw"), ("one", "two", "three"), ("two", "three")),
    "cut and continued": (("one", "twenty", "th"), ("ty", "three"), ("three",)),
    "a likeness before the real tail": (
        ("on", "off", "on", "up"),
        ("on", "up", "down"),
        ("down",),
    ),
}


@pytest.mark.parametrize(("before", "now", "new"), CASES.values(), ids=CASES)
def test_new_lines_are_those_after_the_end_of_the_earlier_buffer(
    before: tuple[str, ...], now: tuple[str, ...], new: tuple[str, ...]
) -> None:
    """Of two outputs of macOS's dmesg, the lines since the first are found, even if it is full."""
    assert message_buffer.new_lines(before, now) == new


def test_new_lines_are_found_wherever_the_start_of_a_full_buffer_cuts_into_the_old_lines() -> None:
    """After three more messages in macOS's full dmesg buffer, exactly three are new."""
    old = [f"[{number:5}.0]: message {number}" for number in range(40)]
    new = [f"[{number:5}.0]: message {number}" for number in range(40, 43)]
    text = "\n".join((*old, *new))

    for start in range(len("\n".join(old))):
        assert message_buffer.new_lines(old, text[start:].split("\n")) == tuple(new)
