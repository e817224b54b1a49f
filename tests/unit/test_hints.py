# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests that every command in a hint can be pasted: the real parser reads each of them."""

import ast
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke.exceptions import Exit

from harness import hints
from harness.host import system_packages
from harness.tasks.collection import installed_tasks
from harness.tasks.program import HarnessProgram

ROOT = Path(__file__).resolve().parents[2]
# Commands in texts that were not rendered by `hints.command`.
_BARE = re.compile(r"(?:\./dev|\binvoke|\bmodlab) [a-z]+-?[a-z]*")


def calls(text: str) -> Iterator[list[str]]:
    """Yield the words of each `hints.command(...)` in a module, with X for computed words."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "hints.command":
            yield [_word(argument) for argument in node.args]


def _word(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values
        )
    return "1"


def modules() -> list[Path]:
    """Return every module of the harness."""
    return sorted((ROOT / "harness").rglob("*.py"))


def collected() -> list[tuple[str, list[str]]]:
    """Return every rendered command of the harness, with its file and line."""
    return [
        (file.relative_to(ROOT).as_posix(), words)
        for file in modules()
        for words in calls(file.read_text())
        if not any(word == "1" for word in words[:1])
    ]


def objection(words: list[str]) -> str:
    """Return the objection of the command line's own parser, or "" if it accepts the words."""
    program = HarnessProgram(namespace=installed_tasks())
    program.create_config()
    try:
        program.parse_core(["modlab", *words])
        program.parse_collection()
        program.parse_tasks()
    except Exit as error:
        return str(error.message)
    return ""


def test_more_than_40_commands_are_collected_from_hints_in_the_source() -> None:
    """Commands in hints are found in the harness; without any, the next tests prove nothing."""
    assert len(collected()) > 40


@pytest.mark.parametrize(("place", "words"), collected())
def test_a_hint_is_a_command_that_the_parser_takes(place: str, words: list[str]) -> None:
    """Each command in an error's hint has a task, options and words that ./dev accepts."""
    assert objection(words) == "", place


def test_a_hint_with_an_unknown_task_or_option_is_reported() -> None:
    """The check of commands in error hints finds a task or an option that does not exist."""
    assert "did you mean" in objection(["vmcore-opn", "X"])
    assert "has no option" in objection(["guest-stop", "--every"])
    assert [*calls('hints.command("guest-ssh", f"--run={x}")')] == [["guest-ssh", "--run=X"]]


def test_each_setup_hint_names_a_task_in_the_list_of_packages() -> None:
    """`setup TASK` in an error's hint installs packages only for a task of the package list."""
    for _place, words in collected():
        if words[0] == "setup":
            assert system_packages.groups_of("".join(words[1:]))


def test_commands_in_messages_come_from_the_hints_module_only() -> None:
    """In harness/, commands in messages are made by hints.py, so they fit how it was called."""
    bad = []
    for file in modules():
        tree = ast.parse(file.read_text())
        documentation = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        bad += [
            f"{file.relative_to(ROOT)}:{node.lineno}: {node.value[:60]}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in documentation
            and _BARE.search(node.value)
            and "harness/project/" not in str(file)
        ]

    assert bad == []


def test_a_hint_names_the_program_as_it_was_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command in an error's hint begins with the path of ./dev, quoted for a shell."""
    monkeypatch.setenv(hints.PROGRAM, "../my harness/dev")

    assert hints.command("guest-list") == "'../my harness/dev' guest-list"


def test_a_hint_repeats_the_option_c_of_the_call_until_it_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a call with -C DIR the commands in its hints have -C DIR; the next call's do not."""
    monkeypatch.setenv(hints.PROGRAM, "modlab")
    monkeypatch.delenv(hints.OPTIONS, raising=False)

    hints.remember_options(["-C", "my module"])
    said = hints.command("vmcore-open", "1f3a")
    hints.remember_options([])

    assert shlex.split(said) == ["modlab", "-C", "my module", "vmcore-open", "1f3a"]
    assert objection(shlex.split(said)[1:]) == ""
    assert hints.command("guest-list") == "modlab guest-list"


@pytest.mark.parametrize(
    ("called", "program"),
    [
        ("{bin}/modlab", "modlab"),
        ("{other}/modlab", "{other}/modlab"),
        ("/x/harness/tasks/__main__.py", f"{sys.executable} -m harness.tasks"),
        ("/x/invoke/__main__.py", f"{sys.executable} -m invoke"),
    ],
)
def test_a_hint_has_the_bare_name_if_path_finds_it_and_else_the_full_path_or_python_m_module(
    called: str, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hint has the bare name if PATH leads to the file, else the path or `python -m MODULE`."""
    places = {"bin": str(tmp_path / "bin"), "other": str(tmp_path / "other")}
    for folder in places.values():
        Path(folder).mkdir()
        (Path(folder) / "modlab").write_text("")
        (Path(folder) / "modlab").chmod(0o755)
    monkeypatch.setenv("PATH", places["bin"])
    monkeypatch.delenv(hints.PROGRAM)
    monkeypatch.setattr(sys, "argv", [called.format(**places)])

    assert hints.program() == program.format(**places)
