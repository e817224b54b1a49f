# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of systems.macos.boot_args: words that were added to boot arguments can be removed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.systems.macos import boot_args

WORDS = st.sampled_from(["-v", "-x", "debug=0x8", "debug=0x144", "keepsyms=1", "amfi=1", "a=b=c"])


def by_name(words: list[str]) -> list[str]:
    """Return boot arguments by their names; of several with one name, the last."""
    return list({word.partition("=")[0]: word for word in words}.values())


@given(st.lists(WORDS).map(by_name), st.lists(WORDS).map(by_name))
def test_boot_arguments_that_were_added_can_be_removed_again(
    before: list[str], wanted: list[str]
) -> None:
    """From random macOS boot-args, the undo of a change gives the old ones."""
    after, change = boot_args.merge(" ".join(before), wanted)
    back = boot_args.revert(after, boot_args.read_change(change.text()))

    assert set(wanted) <= set(after.split())
    assert sorted(back.split()) == sorted(before)


def test_a_replaced_boot_argument_moves_to_the_end_and_the_others_keep_their_order() -> None:
    """In macOS's boot-args, debug=0x8 becomes debug=0x144, and -v is not added twice."""
    after, change = boot_args.merge("-v debug=0x8 amfi=1", ("debug=0x144", "-v"))

    assert after == "-v amfi=1 debug=0x144"
    assert (change.added, change.replaced) == (("debug=0x144",), ("debug=0x8",))


def test_reverting_keeps_a_boot_argument_that_was_set_later() -> None:
    """The undo of a change to macOS's boot-args keeps what a person set since."""
    change = boot_args.Change(added=("debug=0x144",), replaced=("debug=0x8",))

    assert boot_args.revert("debug=0x1", change) == "debug=0x1"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"added": 1}', '{"added": []}'])
def test_an_unreadable_record_of_a_boot_argument_change_is_a_usage_error(text: str) -> None:
    """Without a valid file that says what was changed, macOS's boot-args cannot be restored."""
    with pytest.raises(UsageError):
        boot_args.read_change(text)


def test_apple_silicon_boot_arguments_are_only_keepsyms_and_v_while_x86_64_gets_debug_0x144() -> (
    None
):
    """Only Intel Macs answer over KDP; elsewhere the words just improve panic texts."""
    assert boot_args.for_debugging(arch="arm64", link="en0") == ("keepsyms=1", "-v")
    assert "debug=0x144" in boot_args.for_debugging(arch="x86_64", link="")
