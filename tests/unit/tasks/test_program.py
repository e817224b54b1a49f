# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the command line: help for every task, suggestions, exit code 2 for every mistake."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from harness.tasks.collection import installed_tasks, shared_tasks
from harness.tasks.words import arrange, command_words
from tests.command_line import ended

ROOT = Path(__file__).resolve().parents[3]
NAMES = sorted(
    name
    for primary, aliases in installed_tasks().task_names.items()
    for name in (primary, *aliases)
)
SHORT = {
    "test": "kernel-test",
    "load": "kernel-test-load",
    "shell": "guest-ssh",
    "explain": "panic-explain",
    "debug": "debug-attach",
    "setup": "setup",
}
DOCUMENTED = (
    *("kernel-deps", "kernel-build", "kernel-load", "kernel-test", "kernel-test-load"),
    *("kernel-test-unload", "packages", "kernel-configure-target", "kernel-debug"),
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_task_has_help(name: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`TASK --help` prints help for every task, even for one that requires a word."""
    assert ended(name, flag) == 0

    said = capsys.readouterr().out
    assert said.startswith(f"Usage: modlab {name}")
    assert "--config=STRING" in said


def test_the_option_help_before_a_task_name_prints_the_usage_of_that_task(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`--help TASK`, which is invoke's own form, prints the same text as `TASK --help`."""
    assert ended("--help", "panic-explain") == 0
    said = capsys.readouterr().out

    assert "Usage: modlab panic-explain FILE [OPTIONS]" in said
    assert ended("panic-explain", "--help") == 0
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("words", [("--help",), ("-h",), ()])
def test_the_program_has_help(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` without a task prints the options, the tasks and the exit codes."""
    assert ended(*words) == 0

    said = capsys.readouterr().out
    assert said.startswith("Usage: modlab [OPTIONS] TASK")
    assert "kernel-configure-target" in said
    assert "Exit codes:" in said


def test_the_option_version_prints_the_version_of_the_installed_python_package(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`--version` prints the version of this distribution, not that of the library invoke."""
    assert ended("--version") == 0
    assert capsys.readouterr().out == f"modlab {version('modlab')}\n"


@pytest.mark.parametrize("name", DOCUMENTED)
def test_nine_task_names_of_the_documented_workflow_are_tasks(name: str) -> None:
    """Names such as kernel-test, which the first pages teach, must not change."""
    assert name in NAMES


@pytest.mark.parametrize(("short", "name"), SHORT.items())
def test_the_frequent_tasks_have_short_names(short: str, name: str) -> None:
    """A short name of a frequent task is the same task, and the parser accepts it."""
    tasks = installed_tasks()

    assert tasks[short] is tasks[name]
    assert short in NAMES


def test_the_task_named_test_is_not_among_those_of_both_checkout_and_installed_command() -> None:
    """As `test`, the installed command runs kernel-test, ./dev all tests of this project."""
    assert "test" not in shared_tasks()


MISTAKES = {
    ("kernel-tst",): "no task 'kernel-tst'; did you mean kernel-test",
    ("kernel-test", "--kep"): "kernel-test has no option --kep; did you mean --keep",
    ("kernel-test", "fresh"): "takes no word 'fresh' here; did you mean --fresh",
    ("kernel-test", "test_it::test_one", "fresh"): "did you mean --fresh",
    ("kernel-test", "--"): "a command is expected after --",
    ("guest-list", "--", "true"): "guest-list takes no command after --",
    ("kernel-test", "--target"): "--target needs a value",
    ("kernel-test", "--maxcrash=many"): "--maxcrash many: a number is expected",
    ("kernel-test", "--keep=1"): "--keep takes no value",
    ("record", "true", "--deadline", "soon"): "--deadline soon: a number is expected",
    ("panic-explain",): "panic-explain needs FILE",
    ("bisect", "--good", "HEAD~3"): "bisect needs --signature or --test",
    ("guest-list", "clean"): "guest-list takes no word 'clean' here",
    ("guest-ssh", "1f3a", "ls"): "guest-ssh takes no word 'ls' here",
    ("--lst",): "no option --lst; did you mean --list",
    ("--help", "kernel-tst"): "no task 'kernel-tst'",
    ("--config",): "needed value",
    ("--print-completion-script=tcsh",): "not supported",
}


@pytest.mark.parametrize(("words", "said"), MISTAKES.items())
def test_a_wrong_command_line_ends_in_exit_code_2_and_one_sentence(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typo gets a similar name; a missing or wrong word or value is named in the one line."""
    assert ended(*words) == 2

    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("guest-ssh", "1f3a"),
        ("shell", "--run=1f3a"),
        ("shell", "--run", "1f3a"),
        ("guest-stop", "1f3a"),
        ("guest-console", "1f3a"),
        ("debug-attach", "1f3a", "--drgn"),
        ("kernel-test-unload", "1f3a"),
    ],
)
def test_tasks_for_a_guest_take_the_run_name_as_a_plain_word_or_as_the_option_run(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five tasks look for the guest of RUN, which is not there; guest-ssh also takes --run RUN."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nonexistent")

    assert ended(*words) == 2
    assert "run 1f3a has no guest" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("vmcore-open", "1f3a"),
        ("vmcore-open", "--run=1f3a"),
        ("replay", "1f3a"),
        ("replay-debug", "1f3a"),
        ("replay-debug", "--run", "1f3a"),
    ],
)
def test_tasks_for_a_finished_run_take_its_name_as_a_plain_word_or_as_the_option_run(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """vmcore-open, replay and replay-debug look for the folder of RUN, which is not there."""
    assert ended(*words) == 2
    assert "no run '1f3a'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("modlab kernel-test --ke", "--keep\n--kernel\n"),
        ("./dev debug-attach 1f3a --dr", "--drgn\n"),
        ("modlab panic-", "panic-explain\n"),
    ],
)
def test_completion_offers_the_words_that_fit_the_typed_line(
    words: str, offered: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Completion offers what fits after the words of a line, whatever path the program has."""
    assert ended("--complete", "--", words) == 0

    last = words.rpartition(" ")[2]
    fitting = [line for line in capsys.readouterr().out.splitlines() if line.startswith(last)]
    assert fitting[: offered.count("\n")] == offered.split()


_BASH = """
source <(./dev --print-completion-script bash)
COMP_WORDS=(./dev kernel-test --ke)
_complete_./dev ./dev --ke kernel-test
echo "${COMPREPLY[@]}"
"""


def test_bash_with_the_completion_script_completes_an_option_of_a_program_with_a_path(
    tmp_path: Path,
) -> None:
    """For `./dev kernel-test --ke`, bash accepts the script and offers --keep and --kernel."""
    program = tmp_path / "dev"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT / "tasks.py"}" "$@"\n')
    program.chmod(0o755)

    done = subprocess.run(
        ["bash", "-c", _BASH],
        cwd=tmp_path,
        env={**os.environ, "MODLAB_PROGRAM": "./dev"},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout == "--keep --kernel\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [(("dmesg | tail",), "dmesg | tail"), (("echo", "a b"), "echo 'a b'")],
)
def test_one_word_after_two_dashes_is_a_shell_line_and_several_are_quoted_into_one_command(
    words: tuple[str, ...], line: str
) -> None:
    """After `--`, one word goes to the guest's shell as it is; several are quoted."""
    contexts = {one.name: one for one in installed_tasks().to_contexts()}

    found = command_words(words, contexts["kernel-test"], option="command")

    assert found == (f"--command={line}",)


def test_each_plain_word_after_kernel_test_becomes_a_test_option_of_its_own() -> None:
    """kernel-test takes any number of names of tests as words."""
    contexts = {one.name: one for one in installed_tasks().to_contexts()}

    found = arrange(["a::b", "c", "--keep"], contexts["kernel-test"], optional_word="test")

    assert found.options == ["--keep", "--test=a::b", "--test=c"]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--cpus=0", "--cpus: 0 is not from 1 to 64"),
        ("--memory=16", "--memory: 16 is not from 256"),
        ("--cpus=many", "--cpus many: a number is expected"),
    ],
)
def test_a_machine_option_with_an_invalid_number_ends_in_exit_code_2(
    option: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error for --cpus or --memory names the option and its limits, or asks for a number."""
    monkeypatch.chdir(ROOT / "tests" / "data" / "example_module")

    assert ended("test", option) == 2
    assert said in capsys.readouterr().err


def test_option_list_prints_tests_and_naming_a_test_together_with_a_command_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--list` prints the tests without a guest; a name of a test beside a command is refused."""
    monkeypatch.chdir(ROOT / "tests" / "data" / "example_module")

    assert ended("test", "--list") == 0
    assert capsys.readouterr().out == "inside (a command)\n  inside\n"
    assert ended("test", "inside", "--", "true") == 2
    assert "--test does not apply to a command" in capsys.readouterr().err
