# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the commands in README, docs/ and the other pages: the tasks accept each of them.

Every `./dev` and `invoke` line is parsed by the real command line; the cheap ones are run, too.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke.exceptions import ParseError
from invoke.parser import Parser

import tasks
from harness.tasks.words import arrange, command_words

PROJECT = Path(__file__).resolve().parents[3]
PAGES = (
    *sorted(PROJECT.glob("*.md")),
    *sorted((PROJECT / "docs").rglob("*.md")),
    PROJECT / "kernel" / "README.md",
    PROJECT / ".github" / "PULL_REQUEST_TEMPLATE.md",
)
# The section of an old release shows the commands of that release.
_OTHER = {"CHANGELOG.md"}
_COMMAND = re.compile(r"(?:^|[\s`(])(?:\./dev|(?:\.venv/bin/)?invoke)((?: [^`\n]*)?)")
_SPAN = re.compile(r"`([^`\n]+)`")
_STANDS_FOR_ANY = {"TASK", "TASK...", "..."}
_PLACEHOLDERS = {"...": "X", "N": "1"}
_CORE = {"--list", "--help", "--version", "-y", "--yes"}


def shown(page: Path) -> Iterator[tuple[int, str]]:
    """Yield the line number and the text of each code line or code span of a page."""
    fenced = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield number, line
        else:
            yield from ((number, span) for span in _SPAN.findall(line))


def documented() -> list[tuple[str, list[str]]]:
    """Return each documented command: its place, and its words after ./dev."""
    commands = []
    for page in PAGES:
        if page.name in _OTHER:
            continue
        for number, text in shown(page):
            for match in _COMMAND.finditer(text):
                words = words_of(match.group(1))
                if words and words[0] not in _STANDS_FOR_ANY:
                    commands.append((f"{page.relative_to(PROJECT)}:{number}", words))
    return commands


def words_of(text: str) -> list[str]:
    """Return a command's words up to a pipe, without comments and brackets for optional parts."""
    lexer = shlex.shlex(text.replace(" [", " ").replace("] ", " "), punctuation_chars="|&;>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words = []
    for word in lexer:
        if set(word) <= set("|&;>"):
            break
        words.append(shlex.split(word)[0] if word.strip("'\"") else "")
    return [word.removesuffix("]") if "[" not in word else word for word in words]


def parse(words: list[str]) -> None:
    """Parse a command with the real options of the tasks.

    Raises: ParseError for a task, an option or a word that no task accepts.
    """
    words = [_PLACEHOLDERS.get(word, word) for word in words if word not in _CORE]
    if not words:
        return
    name, *rest = words
    task = tasks.namespace[name]  # KeyError for a task that is not there
    parser = Parser(contexts=tasks.namespace.to_contexts())
    place = rest.index("--") if "--" in rest else len(rest)
    command = rest[place + 1 :] if place < len(rest) else None
    options = [
        *rest[:place],
        *command_words(command, parser.contexts[name], option=task.command),
    ]
    found = arrange(options, parser.contexts[name], optional_word=task.word)
    contexts = parser.parse_argv([name, *found.options])
    if len(contexts) > 1:
        raise ParseError(f"{contexts[1].name} is taken for a task of its own")


def test_commands_are_found_in_the_readme_contributing_kernel_and_docs_pages() -> None:
    """Each kind of page has commands; without any, the next test would prove nothing."""
    places = {place.split(":")[0] for place, _ in documented()}

    assert {
        "README.md",
        "CONTRIBUTING.md",
        "kernel/README.md",
        "docs/getting-started.md",
    } <= places
    assert len(documented()) > 100


def test_every_documented_command_parses() -> None:
    """Every documented command is accepted by the parser that ./dev uses."""
    wrong = []
    for place, words in documented():
        try:
            parse(words)
        except (KeyError, ParseError) as error:
            wrong.append(f"{place}: {' '.join(words)}: {error}")

    assert wrong == []


@pytest.mark.parametrize(
    "line",
    ["kernel-tset", "kernel-test --kernle 6.1", "kernel-test fresh", "packages --key"],
)
def test_a_command_with_a_misspelt_or_surplus_word_is_rejected_by_the_parser(line: str) -> None:
    """The parser rejects a misspelt task or option, a surplus word and a missing value."""
    with pytest.raises((KeyError, ParseError)):
        parse(words_of(line))


def test_comments_brackets_and_pipes_are_not_words_of_a_command() -> None:
    """A comment, brackets and a pipe after a command are not read as its words."""
    assert words_of(" kernel-test -k 'test_a_fault[null]'   # one case") == [
        "kernel-test",
        "-k",
        "test_a_fault[null]",
    ]
    assert words_of(" kernel-test --debug-on-crash [--debugger lldb] [-k X] | tee log") == [
        "kernel-test",
        "--debug-on-crash",
        "--debugger",
        "lldb",
        "-k",
        "X",
    ]


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ("--list", 0, "kernel-test"),
        ("kernel-test --help", 0, "--crash-tests"),
        ("panic-explain tests/data/panic/null.log", 3, "osq_crash_null [osq_test]"),
        ("image-list", 0, ""),
        ("guest-list", 0, ""),
    ],
)
def test_five_quick_commands_exit_with_the_expected_code_and_print_the_expected_text(
    command: str, code: int, text: str
) -> None:
    """Documented commands that take little time run as ./dev runs them, and succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *command.split()],
        cwd=PROJECT,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == code, done.stderr
    assert text in done.stdout
