# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""macos.boot_args: what is added can be taken back, whatever was there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.systems.macos import boot_args

WORDS = st.sampled_from(["-v", "-x", "debug=0x8", "debug=0x144", "keepsyms=1", "amfi=1", "a=b=c"])


def by_name(words: list[str]) -> list[str]:
    """Return the words, of several with one name the last."""
    return list({word.partition("=")[0]: word for word in words}.values())


@given(st.lists(WORDS).map(by_name), st.lists(WORDS).map(by_name))
def test_what_was_added_can_be_taken_back(before: list[str], wanted: list[str]) -> None:
    """For any line and any words: all are in force after, and the line's words are back later."""
    after, change = boot_args.merge(" ".join(before), wanted)
    back = boot_args.revert(after, boot_args.read_change(change.text()))

    assert set(wanted) <= set(after.split())
    assert sorted(back.split()) == sorted(before)


def test_other_words_keep_their_order_and_place() -> None:
    """A value gives way to the wanted one; what is there already is added once."""
    after, change = boot_args.merge("-v debug=0x8 amfi=1", ("debug=0x144", "-v"))

    assert after == "-v amfi=1 debug=0x144"
    assert (change.added, change.replaced) == (("debug=0x144",), ("debug=0x8",))


def test_a_value_that_somebody_has_set_since_stays() -> None:
    """What gave way does not come back over a later hand's value of the same name."""
    change = boot_args.Change(added=("debug=0x144",), replaced=("debug=0x8",))

    assert boot_args.revert("debug=0x1", change) == "debug=0x1"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"added": 1}', '{"added": []}'])
def test_a_record_that_cannot_be_read_is_no_record(text: str) -> None:
    """Nothing is taken back on a guess."""
    with pytest.raises(UsageError):
        boot_args.read_change(text)


def test_apple_silicon_gets_no_words_for_a_live_debugger() -> None:
    """There KDP does not answer: only what makes a panic's text better is set."""
    assert boot_args.for_debugging(arch="arm64", link="en0") == ("keepsyms=1", "-v")
    assert "debug=0x144" in boot_args.for_debugging(arch="x86_64", link="")
