# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the names of tests in the driver's tables: each name is that of a test that exists.

kernel/README.md says for each danger which test proves the defence. A test that was renamed or
removed would leave a proof that nobody can find. Tests that start other tests name them, too, as
FILE::FUNCTION.
"""

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
PAGES = (PROJECT / "kernel" / "README.md", PROJECT / "docs" / "security.md")
# What a test passes to kernel-test: a file of tests/crash, and a function.
_STARTED = re.compile(r'"test_crash_points::(test_\w+)')
# A file or a function in backquotes or plain; dots stand for the rest of a long name.
_NAME = re.compile(r"\b(test_\w+)(\.\.\.|\.py|\.c)?")


def defined() -> set[str]:
    """Return the names of all test functions and test files below tests/."""
    files = [*PROJECT.glob("tests/**/test_*.py"), *PROJECT.glob("tests/**/test_*.c")]
    names = {file.name for file in files}
    for file in files:
        names.update(re.findall(r"\btest_\w+(?=\()", file.read_text(encoding="utf-8")))
    return names


def unknown(text: str, names: set[str]) -> list[str]:
    """Return the tests that a text names and that do not exist."""
    wrong = []
    for name, end in _NAME.findall(text):
        matches = str.startswith if end == "..." else str.__eq__
        wanted = name if end == "..." else name + end
        if not any(matches(one, wanted) for one in names):
            wrong.append(name + end)
    return wrong


def test_each_test_that_the_drivers_pages_name_exists() -> None:
    """Every test file or function named in kernel/README.md or docs/security.md exists."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES if page.is_file())

    assert len(_NAME.findall(text)) > 20
    assert unknown(text, defined()) == []


def test_each_test_of_the_crash_suite_that_another_test_starts_exists() -> None:
    """A test that starts a named test of tests/crash by the command line names one that exists."""
    names = defined()
    started = [
        found
        for file in PROJECT.glob("tests/system/*.py")
        for found in _STARTED.findall(re.sub(r'"\s+"', "", file.read_text(encoding="utf-8")))
    ]

    assert started
    assert [one for one in started if one not in names] == []


def test_a_test_name_on_a_page_that_no_test_has_is_found() -> None:
    """The check of test names in docs reports a wrong test, part of a name and a wrong file."""
    names = {"test_wait.py", "test_a_lock_is_free"}
    page = "test_wait.py `test_a_lock_is_free`, `test_a_lock...`, `test_b...`, test_c.py `test_d`"

    assert unknown(page, names) == ["test_b...", "test_c.py", "test_d"]
