# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of function_lists: patterns of functions.txt match as described; the file is in order."""

import re
from collections import Counter
from pathlib import Path

import pytest

from harness.panic.tables import function_lists
from harness.panic.tables.function_lists import FunctionList, functions

FILE = Path(function_lists.__file__).with_name("functions.txt")
VARIANTS = frozenset({"noprof", "node"})


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        (
            "kmalloc",
            "kmalloc kmalloc_noprof kmalloc_node_noprof kmalloc_8",
            "kmalloc_oob kmallocx",
        ),
        ("=panic", "panic", "panic_noprof vpanic"),
        ("xas_*", "xas_load xas_", "xa xas"),
        ("*_lock", "tty_lock", "lock tty_lock_x"),
        ("*lockdep*", "lockdep_on rcu_lockdep_assert", "lock_dep"),
        ("kprobe_*handler", "kprobe_x_handler kprobe_handler", "kprobe_handlers handler"),
        ("call_*irq*", "call_irq_x call_on_irq", "call_ir irq"),
    ],
)
def test_each_form_of_function_pattern_matches_its_example_names_and_rejects_similar_ones(
    pattern: str, inside: str, outside: str
) -> None:
    """Patterns of functions.txt (lists of kernel functions never blamed) match as documented."""
    names = FunctionList(iter([pattern]), VARIANTS)

    assert [name for name in inside.split() if not names.holds(name)] == []
    assert [name for name in outside.split() if names.holds(name)] == []


def test_an_excluding_pattern_overrides_others() -> None:
    """A function that a '!' pattern of functions.txt names is not in the list of the section."""
    names = FunctionList(iter(["rcu_*", "!rcu_core*"]), VARIANTS)

    assert names.holds("rcu_read_lock")
    assert not names.holds("rcu_core_si")


def test_a_listed_function_name_also_matches_with_the_prefix_arch_but_not_with_another_one() -> (
    None
):
    """A kernel function of functions.txt is also found as arch_NAME, but not as my_NAME."""
    names = FunctionList(iter(["test_bit"]), VARIANTS)

    assert names.holds("arch_test_bit")
    assert not names.holds("my_test_bit")


def test_asking_for_a_section_that_functions_txt_lacks_raises_key_error() -> None:
    """The name of a missing section raises KeyError instead of giving an empty list."""
    with pytest.raises(KeyError):
        functions("servings")


def test_each_heading_in_functions_txt_is_followed_by_a_comment_and_other_lines_are_patterns() -> (
    None
):
    """In functions.txt a comment follows each heading, and each other line is one pattern."""
    lines = FILE.read_text().splitlines()
    headings = [number for number, line in enumerate(lines) if line.startswith("[")]
    body = lines[headings[1] :]

    assert len(headings) > 10
    assert [lines[at] for at in headings if not lines[at + 1].startswith("# ")] == []
    assert [
        line for line in body if line and line[0] not in "[#" and not FORM.fullmatch(line)
    ] == []


# The forms that functions.txt describes.
FORM = re.compile(r"=\w+|!\w+\*|\*?\w+(?:\*\w*)?\*?")


@pytest.mark.parametrize("line", ["!rcu_core", "=panic*", "!*rcu*", "a b"])
def test_a_pattern_in_a_form_that_functions_txt_does_not_describe_is_noticed(line: str) -> None:
    """The test of functions.txt's forms rejects "!name" without a star, and other odd patterns."""
    assert not FORM.fullmatch(line)


def test_no_section_of_functions_txt_contains_the_same_pattern_twice() -> None:
    """No section of functions.txt contains the same pattern twice."""
    sections = function_lists._sections()

    twice = [
        (section, name)
        for section, names in sections.items()
        for name, count in Counter(names).items()
        if count > 1
    ]

    assert twice == []
