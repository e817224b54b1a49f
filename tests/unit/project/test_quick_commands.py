# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Documented commands that take little time, and no guest, run as a user types them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.project.command_table import FILE, best_rows, programs_of, read_table
from tests.unit.project.documented import (
    PROJECT,
    Command,
    documented,
    lines_not_printed,
    shown_output,
)

EXAMPLE = PROJECT / "tests" / "data" / "example_module"
NULL = "tests/data/panic/null.log"
DEADLINE_S = 300
INVOKE = (sys.executable, "-m", "invoke")
MODLAB = (sys.executable, "-m", "harness.tasks")


def run(
    *words: str | Path, cwd: Path = PROJECT, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end, without a terminal."""
    return subprocess.run(
        words,
        cwd=cwd,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ("--list", 0, "kernel-test"),
        ("kernel-test --help", 0, "--crash-tests"),
        (f"panic-explain {NULL}", 3, "osq_crash_null [osq_test]"),
        (f"panic-explain {NULL} --json", 3, '"kind": "null-deref"'),
        (f"panic-explain {NULL} --format markdown", 3, "### BUG: unable to handle"),
        (f"panic-explain {NULL} --format junit", 3, "<testsuites"),
        (f"panic-explain {NULL} --format sarif", 3, '"version": "2.1.0"'),
        (f"panic-explain {NULL} --debuginfod", 3, "osq_crash_null [osq_test]"),
        ("image-list", 0, ""),
        ("guest-list", 0, ""),
        ("nightly --plan table", 0, " min of work"),
        ("nightly --plan json", 0, '"id": "test/debian-12/6.1/plain/x86_64/all/osq"'),
        ("check --only version", 0, "1 checks passed, 0 failed"),
    ],
)
def test_quick_documented_commands_exit_with_the_expected_code_and_print_the_expected_text(
    command: str, code: int, text: str
) -> None:
    """Quick documented tasks, run by invoke as ./dev does, give their code and a known text."""
    done = run(*INVOKE, *command.split())

    assert done.returncode == code, done.stderr
    assert text in done.stdout


def test_panic_explain_prints_what_the_readme_shows() -> None:
    """Each line that README.md shows below the command is in its output."""
    command = f"panic-explain {NULL}"
    shown = shown_output(PROJECT / "README.md", command)

    printed = run(*INVOKE, *command.split()).stdout

    assert len(shown) > 10
    assert lines_not_printed(shown, printed) == []
    assert lines_not_printed(shown, printed.replace("osq_crash_null", "other")) != []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("-C", str(EXAMPLE), "kernel-test", "--list"), "inside (a command)"),
        (("--config", f"{EXAMPLE}/pyproject.toml", "kernel-test", "--list"), "inside (a command)"),
        (("--print-completion-script", "zsh"), "compctl "),
        (("--print-completion-script", "fish"), "complete --command "),
    ],
)
def test_quick_commands_of_modlab_exit_with_0_and_print_the_expected_text(
    words: tuple[str, ...], text: str, tmp_path: Path
) -> None:
    """From any folder, -C or --config chooses the project; zsh and fish get their completions."""
    done = run(*MODLAB, *words, cwd=tmp_path, PYTHONPATH=str(PROJECT))

    assert done.returncode == 0, done.stderr
    assert text in done.stdout


def test_doctor_reports_on_this_host() -> None:
    """`doctor` prints a line on memory; it exits with 2 if something is MISSING, else with 0."""
    done = run(*INVOKE, "doctor")

    assert done.returncode in {0, 2}, done.stderr
    assert "memory: " in done.stdout
    assert (done.returncode == 2) == ("MISSING " in done.stdout)


@pytest.mark.parametrize("words", [("setup",), ("setup", "debug-attach"), ("setup", "--yes")])
def test_setup_asks_dpkg_and_installs_nothing_where_nothing_is_missing(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    """With a fake dpkg that reports all packages, the task `setup` calls no apt-get."""
    for name, text in (
        ("dpkg-query", 'shift 3; for one; do echo "$one installed"; done'),
        ("apt-get", f"touch {tmp_path}/called; exit 1"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)

    done = run(*MODLAB, *words, PATH=f"{tmp_path}:{os.environ['PATH']}")

    assert (done.returncode, done.stdout) == (0, "nothing is missing\n"), done.stderr
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("option", ["--module", "--vmlinux"])
def test_panic_explain_reads_the_symbol_files_that_its_options_name(
    option: str, tmp_path: Path
) -> None:
    """The task panic-explain finds a frame's line in the module's file; a wrong path is named."""
    (tmp_path / "m.c").write_text("void osq_crash_null(void)\n{\n\t*(volatile int *)0 = 1;\n}\n")
    compiler = ("gcc", "-O1", "-g", "-c", "m.c", "-o", "osq_test.ko")
    subprocess.run(compiler, cwd=tmp_path, check=True)
    explain = (*INVOKE, "panic-explain", NULL, option)

    done = run(*explain, tmp_path / "osq_test.ko")
    wrong = run(*explain, tmp_path / "gone.ko")

    assert done.returncode == 3, done.stderr
    assert ("m.c:3)" in done.stdout) == (option == "--module")
    assert "do_syscall_64" in done.stderr or option == "--module"
    assert wrong.returncode == 2
    assert "gone.ko: no such file" in wrong.stderr


@pytest.mark.parametrize(
    "program",
    [
        (str(Path(sys.executable).with_name("panic-explain")),),
        (sys.executable, "-m", "harness.tasks.explain"),
    ],
    ids=["script", "module"],
)
def test_the_program_panic_explain_takes_several_logs(program: tuple[str, ...]) -> None:
    """The installed program explains each of several logs, in the format that --format names."""
    logs = (NULL, "tests/data/panic/soft-lockup.log")

    usual = run(*program, *logs)
    text = run(*program, *logs, "--format", "text")

    assert (usual.returncode, text.returncode) == (3, 3), usual.stderr + text.stderr
    assert f"{NULL}:\n1. BUG: unable to handle" in text.stdout
    assert f"{logs[1]}:\n" in text.stdout
    assert usual.stdout.startswith("{") == (program[0] == sys.executable)


@pytest.mark.parametrize(
    ("task", "expression"),
    [
        ("kext-test", "test_empty_folder_is_refused"),
        ("debug-test", "attaching_to_an_unknown_run"),
        ("packages-test", "built_for_the_test_build"),
    ],
)
def test_tasks_for_tests_run_the_selected_test_alone(task: str, expression: str) -> None:
    """The tasks kext-test, debug-test and packages-test with `-k` run one test each."""
    done = run(*INVOKE, task, "-k", expression)

    assert done.returncode == 0, done.stdout + done.stderr
    assert " 1 passed, " in done.stdout


ROWS = read_table(FILE.read_text(encoding="utf-8"))
THIS = "test_quick_commands.py::test_quick_commands_of_other_programs_succeed"
OF_OTHERS = {
    one.text: one
    for one in documented(programs_of(ROWS))
    if any(row.test.endswith(THIS) for row in best_rows(one, ROWS))
}


@pytest.mark.parametrize("one", OF_OTHERS.values(), ids=list(OF_OTHERS))
def test_quick_commands_of_other_programs_succeed(one: Command) -> None:
    """Documented commands of git, pytest and others are run as the pages write them."""
    own = Path(sys.executable).with_name(one.program)

    done = run(own if own.exists() else one.program, *one.words)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout
