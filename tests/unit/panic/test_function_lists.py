# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""panic.function_lists: what a line of functions.txt matches, and that the file is in order."""

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
def test_a_line_matches_what_its_form_says(pattern: str, inside: str, outside: str) -> None:
    """Exact names with their variants, beginnings, ends and what is between."""
    names = FunctionList(iter([pattern]), VARIANTS)

    assert [name for name in inside.split() if not names.holds(name)] == []
    assert [name for name in outside.split() if names.holds(name)] == []


def test_an_exception_wins() -> None:
    """Whatever other line a name matches."""
    names = FunctionList(iter(["rcu_*", "!rcu_core*"]), VARIANTS)

    assert names.holds("rcu_read_lock")
    assert not names.holds("rcu_core_si")


def test_an_architectures_variant_is_the_function() -> None:
    """arch_, native_ and pv_ before a name change nothing."""
    names = FunctionList(iter(["test_bit"]), VARIANTS)

    assert names.holds("arch_test_bit")
    assert not names.holds("my_test_bit")


def test_a_section_that_is_not_there_is_an_error() -> None:
    """A mistyped name is not an empty list."""
    with pytest.raises(KeyError):
        functions("servings")


def test_every_group_gives_its_reason() -> None:
    """A comment follows each heading, and every other line is one pattern."""
    lines = FILE.read_text().splitlines()
    headings = [number for number, line in enumerate(lines) if line.startswith("[")]
    body = lines[headings[1] :]

    assert len(headings) > 10
    assert [lines[at] for at in headings if not lines[at + 1].startswith("# ")] == []
    assert [
        line for line in body if line and line[0] not in "[#" and not FORM.fullmatch(line)
    ] == []


FORM = re.compile(r"[=!]?\*?\w+(?:\*\w*)?\*?")


def test_no_line_is_written_twice_in_a_section() -> None:
    """A name has one place."""
    sections = function_lists._sections()

    twice = [
        (section, name)
        for section, names in sections.items()
        for name, count in Counter(names).items()
        if count > 1
    ]

    assert twice == []
