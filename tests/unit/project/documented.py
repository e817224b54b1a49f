# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The commands that README.md, docs/, the other pages and the manual pages show.

Every line of a code block without a language, or of one for a shell, is a command; of a block
with lines that begin with `$ `, only these are, and the other lines are output. In a block of
YAML, a list item that begins with a name of the tasks is a command. In the text, a span of code
is a command if it begins with a known program and has more words. `shown_output` and
`lines_not_printed` compare what a page shows as a command's output with what the command prints.
"""

import re
import shlex
from collections.abc import Collection as Names
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, takewhile, zip_longest
from pathlib import Path, PurePath

from invoke.exceptions import ParseError
from invoke.parser import Parser
from invoke.parser.context import ParserContext
from markdown_it import MarkdownIt
from markdown_it.token import Token

import tasks
from harness.tasks.collection import installed_tasks
from harness.tasks.words import arrange, command_words

PROJECT = Path(__file__).resolve().parents[3]
# CHANGELOG.md shows the commands of old releases.
PAGES = (
    *(page for page in sorted(PROJECT.glob("*.md")) if page.name != "CHANGELOG.md"),
    *sorted((PROJECT / "docs").rglob("*.md")),
    *sorted((PROJECT / "kernel").rglob("*.md")),
    PROJECT / ".github" / "PULL_REQUEST_TEMPLATE.md",
)
MANUALS = tuple(sorted((PROJECT / "kernel").rglob("man/*.[0-9]")))
# The names by which the tasks are called, and which tasks each name has.
TASK_PROGRAMS = {"dev": tasks.namespace, "invoke": tasks.namespace, "modlab": installed_tasks()}
# A task of this name exists, too; ./dev or modlab stands before that one.
_ALSO_A_PROGRAM = {"panic-explain"}
_BUILT_INTO_THE_SHELL = {"cd", ".", "source"}
_BEFORE_A_PROGRAM = {"sudo", "exec"}
_OPTIONAL = re.compile(r" \[([^\[\]]+)\]")
_NUMBERS = {int, float}
_SHELLS = {"", "bash", "console", "sh"}
_NO_COMMANDS = {"c", "ini", "json", "lua", "mermaid", "python", "sql", "text", "toml"}
_WITHOUT_EFFECT_ON_THE_TASK = {"C", "config"}
_ASKS_NOTHING = {"-y", "--yes"}
# What differs from one call to the next: left out text, a run's name, or a number.
_VARIES = re.compile(r"\.\.\.|\d{8}-\d{6}-[0-9a-f]{4}|\d+(?:\.\d+)?")


@dataclass(frozen=True, kw_only=True)
class Command:
    """One documented command: where it stands, its program without a path, and its words."""

    place: str
    program: str
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """The command as one line."""
        return " ".join((self.program, *self.words))


def documented(programs: Names[str]) -> list[Command]:
    """Return every command of the pages and of the examples in the manual pages.

    A span of code counts if it begins with a name of the tasks or with one of `programs`.
    """
    known = {*programs, *TASK_PROGRAMS, *tasks.namespace.task_names}
    found = [one for page in PAGES for one in commands_of_page(page, known)]
    return found + [one for page in MANUALS for one in examples_of_manual(page)]


def commands_of_page(page: Path, known: Names[str]) -> Iterator[Command]:
    """Yield the commands of a Markdown page in their order.

    Raises: ValueError for a code block in a language of which this module does not know whether it
        has commands.
    """
    parser = MarkdownIt("commonmark").enable("table")
    for token in parser.parse(page.read_text(encoding="utf-8")):
        if token.map is None:
            continue
        place = f"{_name(page)}:{token.map[0] + 1}"
        if token.type in {"code_block", "fence"}:
            for line in _lines_of_block(token, place):
                yield from commands_in(line, place)
        elif token.type == "inline":
            yield from _commands_of_spans(token, place, known)


def _lines_of_block(token: Token, place: str) -> Iterator[str]:
    """Yield the lines of a code block that are for a shell."""
    language = token.info.strip()
    if language in _SHELLS:
        yield from shell_lines(token.content)
    elif language == "yaml":
        items = (line.strip().removeprefix("- ") for line in token.content.splitlines())
        yield from (item for item in items if item.split(" ")[0] in TASK_PROGRAMS)
    elif language not in _NO_COMMANDS:
        raise ValueError(f"{place}: a code block in {language!r}: does it have commands?")


def _name(page: Path) -> str:
    return str(page.relative_to(PROJECT)) if page.is_relative_to(PROJECT) else page.name


def shell_lines(text: str) -> Iterator[str]:
    """Yield the commands of a code block: its lines after `$ `, or every line if none has that."""
    lines = text.replace("\\\n", " ").splitlines()
    typed = [line.strip()[2:] for line in lines if line.strip().startswith("$ ")]
    yield from typed or [line.strip() for line in lines if line.strip()]


def shown_output(page: Path, command: str) -> list[str]:
    """Return the lines that a page shows as the output of a command, without `...` lines.

    `command` is a part of the line after `$ `. The output ends at the next such line.

    Raises: ValueError when no code block of the page has the command.
    """
    for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
        lines = token.content.splitlines() if token.type in {"code_block", "fence"} else []
        for place, line in enumerate(lines):
            if line.startswith("$ ") and command in line:
                after = takewhile(lambda one: not one.startswith("$ "), lines[place + 1 :])
                return [one for one in after if one.strip() not in {"", "..."}]
    raise ValueError(f"{_name(page)} shows no output of {command}")


def lines_not_printed(shown: Sequence[str], printed: str) -> list[str]:
    """Return the shown lines that a command did not print.

    In a shown line, `...` stands for any text, and a number or a run's name for any other one.
    """
    lines = [line.strip() for line in printed.splitlines()]
    return [one for one in shown if not any(_as_pattern(one).fullmatch(line) for line in lines)]


def _as_pattern(shown: str) -> re.Pattern[str]:
    parts = _VARIES.split(shown.strip())
    found = [".*" if one == "..." else f"(?:{_VARIES.pattern})" for one in _VARIES.findall(shown)]
    pairs = zip_longest((re.escape(part) for part in parts), found, fillvalue="")
    return re.compile("".join(chain.from_iterable(pairs)))


def _commands_of_spans(token: Token, place: str, known: Names[str]) -> Iterator[Command]:
    for span in token.children or ():
        if span.type != "code_inline" or " " not in span.content.strip():
            continue
        try:
            found = list(commands_in(span.content, place))
        except ValueError:
            continue  # An open quote: no line for a shell.
        if found and found[0].program in known:
            yield from found


def examples_of_manual(page: Path) -> Iterator[Command]:
    """Yield the commands of the section EXAMPLES of a manual page."""
    _, _, section = page.read_text(encoding="utf-8").partition(".SH EXAMPLES\n")
    for line in section.partition(".SH ")[0].splitlines():
        if not line.startswith("."):
            yield from commands_in(line.replace("\\-", "-"), _name(page))


def commands_in(line: str, place: str) -> Iterator[Command]:
    """Yield the commands of one line, with each optional part on its own.

    `x A [--b B] [--c]` is three commands: `x A`, `x A --b B` and `x A --c`.
    """
    if line.startswith("(gdb) "):
        yield Command(
            place=place, program="(gdb)", words=tuple(line.partition(" # ")[0].split()[1:])
        )
        return
    least = _OPTIONAL.sub("", line)
    for text in (least, *(f"{least} {part}" for part in _OPTIONAL.findall(line))):
        for words in simple_commands(text):
            program = PurePath(words[0]).name or words[0]
            if program not in _BUILT_INTO_THE_SHELL:
                yield Command(place=place, program=program, words=tuple(words[1:]))


def simple_commands(line: str) -> Iterator[list[str]]:
    """Yield the words of each command of a line, without comments, variables and redirections.

    Raises: ValueError for an open quote.
    """
    inner = re.sub(r"<\(([^)]*)\)", r"; \1 ;", line)
    lexer = shlex.shlex(inner, posix=True, punctuation_chars="|&;>")
    lexer.whitespace_split = True
    words: list[str] = []
    waiting = iter(lexer)
    for word in waiting:
        if word and set(word) <= set("|&;"):
            yield from _without_prefix(words)
            words = []
        elif word and set(word) <= set(">&"):
            next(waiting, None)
        else:
            words.append(word)
    yield from _without_prefix(words)


def _without_prefix(words: list[str]) -> Iterator[list[str]]:
    """Yield the words from the program on, if there is one."""
    for place, word in enumerate(words):
        if word not in _BEFORE_A_PROGRAM and not re.match(r"[A-Z_]+=", word):
            yield words[place:]
            return


def form_of(program: str, words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the parts of a command that a row of the table is compared with.

    For a task these are `dev`, its full name, and the given options in the order of their names,
    read by the real parser; a word without an option's name has one then, and numbers are all N.
    The options -C and --config choose the project and are left out. For other programs these are
    the words as they stand.

    Raises: KeyError for a task that is not there; ParseError for a wrong option or word.
    """
    if program in tasks.namespace.task_names and program not in _ALSO_A_PROGRAM:
        program, words = "dev", (program, *words)
    if program not in TASK_PROGRAMS:
        return (program, *words)
    rest = [word for word in words if word not in _ASKS_NOTHING]
    if not rest or rest[0].startswith("-") or rest[0] == "TASK":
        return ("dev", *rest)
    return _form_of_task(program, rest[0], rest[1:])


@cache
def _contexts(program: str) -> tuple[ParserContext, ...]:
    return tuple(TASK_PROGRAMS[program].to_contexts())


def _form_of_task(program: str, name: str, words: list[str]) -> tuple[str, ...]:
    task = TASK_PROGRAMS[program][name]
    parser = Parser(contexts=_contexts(program))
    place = words.index("--") if "--" in words else len(words)
    command = words[place + 1 :] if place < len(words) else None
    context = parser.contexts[name]
    after = command_words(command, context, option=task.command)
    options = [*_with_numbers(words[:place], context), *after]
    found = arrange(options, context, optional_word=task.word)
    if found.wants_help:
        return ("dev", "TASK", "--help")
    contexts = parser.parse_argv([name, *found.options])
    if len(contexts) > 1:
        raise ParseError(f"{contexts[1].name} is taken for a task of its own")
    return ("dev", str(task.name).replace("_", "-"), *sorted(_options(contexts[0])))


def _with_numbers(words: list[str], context: ParserContext) -> Iterator[str]:
    """Yield the words, with 1 in the place of an N that stands for a number."""
    before = ""
    for word in words:
        flag = context.flags.get(before)
        yield "1" if word == "N" and flag is not None and flag.kind in _NUMBERS else word
        before = word


def _options(context: ParserContext) -> Iterator[str]:
    """Yield each option that was given, as one word."""
    for argument in context.args.values():
        name = str(argument.name)
        if not argument.got_value or name in _WITHOUT_EFFECT_ON_THE_TASK:
            continue
        long = name.strip("_").replace("_", "-")
        flag = f"-{name}" if len(name) == 1 else f"--{long}"
        values = argument.value if isinstance(argument.value, list) else [argument.value]
        for value in values:
            shown = "N" if argument.kind in _NUMBERS else value
            yield flag if argument.kind is bool else f"{flag}={shown}"
