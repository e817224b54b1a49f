# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table documented_commands.toml: the test that runs each documented command, or why none can.

Its first lines explain its rows.
"""

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import tasks
from tests.unit.project.documented import PROJECT, TASK_PROGRAMS, Command, form_of

FILE = Path(__file__).with_name("documented_commands.toml")
_ANYTHING = re.compile(r"[A-Z][A-Z_]*(\.\.\.)?")
_TASKS = "tasks"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: the command as it is written there, and its test or its reason.

    `form` is what commands are compared with. A row of a program of others fits every command that
    begins with it. `instead` is a test that comes near where no test runs the command itself.
    """

    text: str
    form: tuple[str, ...]
    begins: bool
    test: str = ""
    reason: str = ""
    instead: str = ""

    def fits(self, form: Sequence[str]) -> bool:
        """Return whether a command has the form of this row."""
        if len(form) < len(self.form) or (len(form) > len(self.form) and not self.begins):
            return False
        return all(_same(mine, other) for mine, other in zip(self.form, form, strict=False))

    @property
    def literal_words(self) -> int:
        """How many words of the row stand for themselves alone."""
        return sum(not _same(word, f"{word.partition('=')[0]}=") for word in self.form)


def _same(mine: str, other: str) -> bool:
    """Return whether a word of a command is that of the row, or what a capital word stands for."""
    option, equals, value = mine.partition("=")
    if not _ANYTHING.fullmatch(value if equals else mine):
        return mine == other
    return not equals or other.partition("=")[0] == option


def read_table(text: str) -> tuple[Row, ...]:
    """Return the rows of a table in their order."""
    return tuple(
        _row(section, name, value)
        for section, rows in tomllib.loads(text).items()
        for name, value in rows.items()
    )


def _row(section: str, text: str, value: str | dict[str, str]) -> Row:
    program, *words = text.split()
    form = form_of("dev", (program, *words)) if section == _TASKS else (program, *words)
    facts = {"test": value} if isinstance(value, str) else value
    return Row(text=text, form=form, begins=section != _TASKS, **facts)


def programs_of(rows: Iterable[Row]) -> set[str]:
    """Return the names of the programs that have rows beside the tasks."""
    return {row.form[0] for row in rows if row.begins}


def best_rows(command: Command, rows: Iterable[Row]) -> list[Row]:
    """Return the rows that fit a command; where one is more exact than the others, it alone."""
    form = form_of(command.program, command.words)
    found = [row for row in rows if row.fits(form)]
    most = max((row.literal_words for row in found), default=0)
    return [row for row in found if row.literal_words == most]


def faults(commands: Iterable[Command], rows: Sequence[Row]) -> Iterator[str]:
    """Yield each command without exactly one row, and each row without a command."""
    used: set[str] = set()
    for command in commands:
        found = best_rows(command, rows)
        used |= {row.text for row in found}
        if not found:
            yield f"{command.place}: {command.text}: no row in {FILE.name} fits"
        elif len(found) > 1:
            texts = " and ".join(row.text for row in found)
            yield f"{command.place}: {command.text}: the rows {texts} fit equally"
    for row in rows:
        if row.text not in used:
            yield f"{FILE.name}: {row.text}: no page shows such a command"


def faults_of_tests(rows: Iterable[Row]) -> Iterator[str]:
    """Yield each row with neither a test nor a reason, and each test that is not there.

    A test of a task has to mention the task and its options, in its file or in those of its
    folder and of `tests` that it imports.
    """
    for row in rows:
        if bool(row.test) == bool(row.reason.strip()):
            yield f"{row.text}: either a test or a reason is expected"
        for node in filter(None, (row.test, row.instead)):
            file, _, function = node.partition("::")
            if function not in functions_of(PROJECT / file):
                yield f"{row.text}: there is no test {node}"
            elif node == row.test and (lacking := list(_unmentioned(row, PROJECT / file))):
                yield f"{row.text}: {file} does not mention {' and '.join(lacking)}"


@cache
def functions_of(file: Path) -> frozenset[str]:
    """Return the names of the functions at the top of a Python file; none if there is no file."""
    if not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def _unmentioned(row: Row, file: Path) -> Iterator[str]:
    """Yield the task and the options of a row that the source of its test does not mention."""
    name = row.form[1] if not row.begins else ""
    if name not in tasks.namespace.task_names:
        return
    source = _source(file)
    if not any(_mentions(source, one) for one in (name, *names_beside(name))):
        yield name
    for word in row.form[2:]:
        option = word.partition("=")[0].lstrip("-")
        if not _mentions(source, option):
            yield word


def names_beside(task: str) -> tuple[str, ...]:
    """Return the other names of a task."""
    names = [program[task].aliases for program in TASK_PROGRAMS.values() if task in program]
    return tuple(alias for aliases in names for alias in aliases)


def _mentions(source: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?![\w-])", source) is not None


@cache
def _source(file: Path) -> str:
    """Return the text of a test's file and of what it uses, with each _ as -."""
    texts = [file.read_text(encoding="utf-8")]
    used = re.findall(r"^from (tests\.[\w.]+) import", texts[0], re.MULTILINE)
    files = [PROJECT / f"{name.replace('.', '/')}.py" for name in used]
    files.append(file.with_name("conftest.py"))
    texts += [one.read_text(encoding="utf-8") for one in files if one.is_file()]
    return "\n".join(texts).replace("_", "-")
