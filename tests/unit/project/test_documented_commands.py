# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the commands in README, docs/ and the other pages: the tasks accept each of them.

documented_commands.toml has a row for each command, with the test that runs it.
"""

from pathlib import Path

import pytest
from invoke.exceptions import ParseError

from tests.unit.project.command_table import (
    FILE,
    Row,
    best_rows,
    faults,
    faults_of_tests,
    programs_of,
    read_table,
)
from tests.unit.project.documented import (
    Command,
    commands_in,
    commands_of_page,
    documented,
    examples_of_manual,
    form_of,
)

ROWS = read_table(FILE.read_text(encoding="utf-8"))
COMMANDS = documented(programs_of(ROWS))
RUN = "tests/system/test_example_module.py::test_one_not_ok_line_fails_the_run"


def command(text: str) -> Command:
    """Return the only command of a line."""
    (found,) = commands_in(text, "page.md:1")
    return found


def test_commands_are_found_in_the_readme_contributing_kernel_and_docs_pages() -> None:
    """Each kind of page has documented commands; else the tests below would compare nothing."""
    places = {one.place.split(":")[0] for one in COMMANDS}

    assert {
        "README.md",
        "CONTRIBUTING.md",
        "kernel/README.md",
        "docs/getting-started.md",
        "docs/howto/install-modlab.md",
        "kernel/client/man/osqtail.8",
    } <= places
    assert len(COMMANDS) > 200


def test_every_documented_command_parses() -> None:
    """Every documented command is accepted by the parser that ./dev and modlab use."""
    wrong = []
    for one in COMMANDS:
        try:
            form_of(one.program, one.words)
        except (KeyError, ParseError) as error:
            wrong.append(f"{one.place}: {one.text}: {error}")

    assert wrong == []


@pytest.mark.parametrize(
    "line",
    [
        "./dev kernel-tset",
        "./dev kernel-test --kernle 6.1",
        "invoke kernel-test fresh",
        "./dev packages --key",
        "modlab tset",
        "modlab test --kernle 6.1",
        "modlab check",
        "modlab load one two",
        "modlab explain",
    ],
)
def test_a_command_with_a_misspelt_or_surplus_word_is_rejected_by_the_parser(line: str) -> None:
    """The parser rejects a misspelt task or option, a surplus word and a missing value."""
    one = command(line)

    with pytest.raises((KeyError, ParseError)):
        form_of(one.program, one.words)


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        ("./dev doctor   # with 'a quote", ["dev doctor"]),
        (".venv/bin/pytest x | tee log", ["pytest x", "tee log"]),
        ("A=1 pytest x 2> log && sudo ls", ["pytest x 2", "ls"]),
        ("source <(modlab --list)", ["modlab --list"]),
        ("modlab --list > file", ["modlab --list"]),
        ("(gdb) watch -l *$sp   # back", ["(gdb) watch -l *$sp"]),
        ("a -k 'x[null]' [-b B] [-c]", ["a -k x[null]", "a -k x[null] -b B", "a -k x[null] -c"]),
    ],
)
def test_a_pipe_separates_commands_a_comment_is_dropped_and_an_optional_part_adds_a_command(
    line: str, commands: list[str]
) -> None:
    """One line of a docs page may hold several commands; [--option] makes a second form."""
    assert [one.text for one in commands_in(line, "")] == commands


PAGE = """\
The file `doctor` is for `./dev doctor -C X` and `make
all`, and never `other thing`.

    ./dev setup
    unknown thing

```
$ modlab test
output of it
```

```text
output alone
```

```sh
git log   # shown
```

```console
$ git diff
output of it
```

```yaml
script:
  - modlab nightly --plan json > plan.json
  - stages
```

| table | `modlab load` |
|---|---|

1. A list:

        git status
"""


def test_code_blocks_and_known_spans_of_a_page_are_its_commands(tmp_path: Path) -> None:
    """On a docs page, blocks without a language or for a shell are commands; output is not."""
    page = tmp_path / "page.md"
    page.write_text(PAGE)

    found = [one.text for one in commands_of_page(page, {"dev", "make", "modlab"})]

    assert found == [
        *("dev doctor -C X", "make all", "dev setup", "unknown thing", "modlab test"),
        *("git log", "git diff", "modlab nightly --plan json", "modlab load", "git status"),
    ]


def test_a_code_block_in_an_unknown_language_is_refused(tmp_path: Path) -> None:
    """A block in zsh, of which the check knows no commands, is a ValueError with file and line."""
    page = tmp_path / "page.md"
    page.write_text("A page\n\n```zsh\nmodlab tset\n```\n")

    with pytest.raises(ValueError, match=r"page\.md:3: a code block in 'zsh'"):
        list(commands_of_page(page, set()))


def test_the_examples_of_a_manual_page_are_its_commands(tmp_path: Path) -> None:
    """Of a manual page, only the section EXAMPLES is read for documented commands."""
    page = tmp_path / "x.8"
    page.write_text(".SH NAME\nx\n.SH EXAMPLES\n.EX\nx \\-\\-all\n.EE\n.SH SEE ALSO\ny\n")

    assert [one.text for one in examples_of_manual(page)] == ["x --all"]


@pytest.mark.parametrize(
    ("line", "form"),
    [
        ("modlab test -C x", ("dev", "kernel-test")),
        ("./dev test", ("dev", "test")),
        ("modlab load --run=1f", ("dev", "kernel-test-load", "--run=1f")),
        ("modlab explain F --json", ("dev", "panic-explain", "--file=F", "--json")),
        ("./dev vmcore-open R --crash 2", ("dev", "vmcore-open", "--crash=N", "--run=R")),
        ("./dev -y kernel-test -k a -- b", ("dev", "kernel-test", "--command=b", "-k=a")),
        ("./dev kernel-test --help", ("dev", "TASK", "--help")),
        ("modlab --help", ("dev", "--help")),
        ("kernel-test --list", ("dev", "kernel-test", "--list")),
        ("panic-explain F", ("panic-explain", "F")),
        ("osq tables", ("osq", "tables")),
    ],
)
def test_commands_that_differ_only_in_writing_have_one_form(
    line: str, form: tuple[str, ...]
) -> None:
    """Two documented commands are equal if only short names or the order of options differ."""
    one = command(line)

    assert form_of(one.program, one.words) == form


def test_each_documented_command_has_one_row_and_each_row_a_command() -> None:
    """Commands of the docs and rows of documented_commands.toml match one to one."""
    assert "\n".join(faults(COMMANDS, ROWS)) == ""


def test_each_row_has_a_test_that_exists_or_a_reason() -> None:
    """Each row of documented_commands.toml names an existing test, or why there is none."""
    assert "\n".join(faults_of_tests(ROWS)) == ""


def rows(text: str) -> tuple[Row, ...]:
    """Return the rows of a table of tasks."""
    return read_table(f"[tasks]\n{text}")


def test_a_documented_command_without_a_row_is_named_with_its_place() -> None:
    """A command on a page that documented_commands.toml lacks is reported with file and line."""
    table = rows(f'"kernel-test" = "{RUN}"')

    found = list(faults([command("./dev kernel-test"), command("./dev doctor")], table))
    option = list(faults([command("modlab test"), command("modlab test --keep")], table))
    program = list(faults([command("modlab test"), command("gzip x")], table))

    assert found == [f"page.md:1: dev doctor: no row in {FILE.name} fits"]
    assert option == [f"page.md:1: modlab test --keep: no row in {FILE.name} fits"]
    assert program == [f"page.md:1: gzip x: no row in {FILE.name} fits"]


def test_two_rows_that_fit_a_command_equally_are_reported() -> None:
    """Of two rows in documented_commands.toml the more exact one counts; two equal ones fail."""
    one = command("./dev kernel-test --target macos")
    table = rows(f'"kernel-test --target NAME" = "{RUN}"\n"kernel-test --target OTHER" = "{RUN}"')
    exact = rows(f'"kernel-test --target macos" = "{RUN}"')

    assert "fit equally" in next(faults([one], table))
    assert best_rows(one, (*table, *exact)) == list(exact)


def test_a_row_without_a_documented_command_is_stale() -> None:
    """A row of documented_commands.toml whose command has left the pages is reported."""
    table = rows(f'"kernel-test" = "{RUN}"\n"doctor" = "{RUN}"')

    found = list(faults([command("./dev kernel-test")], table))

    assert found == [f"{FILE.name}: doctor: no page shows such a command"]


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ('"tests/system/test_gone.py::test_x"', "there is no test tests/system/test_gone.py"),
        ('"tests/system/test_places.py::test_gone"', "there is no test"),
        ('{ reason = "far", instead = "tests/unit/x.py::test_x" }', "there is no test"),
        ('{ reason = " " }', "either a test or a reason is expected"),
        ('"tests/system/test_places.py::test_a_run_by"', "there is no test"),
    ],
)
def test_a_row_with_a_missing_test_or_without_a_reason_is_reported(value: str, fault: str) -> None:
    """A row of documented_commands.toml with an unknown test or a blank reason is reported."""
    (found,) = faults_of_tests(rows(f'"kernel-test" = {value}'))

    assert fault in found


def test_a_row_whose_test_does_not_mention_its_task_or_option_is_reported() -> None:
    """A row of documented_commands.toml with an unrelated test file is reported."""
    doctor = list(faults_of_tests(rows(f'"doctor" = "{RUN}"')))
    option = list(faults_of_tests(rows(f'"kernel-test --watch" = "{RUN}"')))

    file = RUN.partition("::")[0]
    assert doctor == [f"doctor: {file} does not mention doctor"]
    assert option == [f"kernel-test --watch: {file} does not mention --watch"]
    assert list(faults_of_tests(rows(f'"kernel-test" = "{RUN}"'))) == []
