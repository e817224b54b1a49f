# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the options and behaviour that all tasks share: --config, -C, context, exit codes."""

import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from harness import hints
from harness.tasks.collection import TASKS
from harness.tasks.common import HarnessTask, TaskContext, task


@pytest.fixture(autouse=True)
def hints_of_no_project() -> Iterator[None]:
    """Forget the project that an earlier task stored for the hints of its error messages."""
    yield
    hints.remember_options([])


@task(iterable=["many"], options_help={"name": "a name", "many": "words"})
def sample(
    context: TaskContext, name: str = "", many: list[str] | None = None, count: int = 3
) -> int:
    """Print the options that the caller gave; this task exists only for these tests."""
    words = (context.config, sorted(context.given), name, many, count, Path.cwd())
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    return 7


def code_of(called: HarnessTask, **options: object) -> int:
    """Return the exit code of a call of the sample task with these options."""
    with pytest.raises(Exit) as ended:
        called(Context(), **options)
    code: int = ended.value.code
    return code


def test_a_task_is_told_which_of_its_options_were_given_other_values_than_the_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A task sees which options differ from their defaults, to refuse those without effect."""
    code = code_of(sample, name="x", many=[], count=4, config="p.toml", C=None)

    assert code == 7
    assert capsys.readouterr().out == f"p.toml ['count', 'name'] x [] 4 {Path.cwd()}\n"


def test_a_task_with_the_option_c_runs_with_that_folder_as_its_working_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task with -C DIR resolves relative paths in that folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()

    code_of(sample, C="there")

    assert capsys.readouterr().out.endswith(f" {tmp_path / 'there'}\n")
    os.chdir(tmp_path)


def test_a_missing_folder_after_the_option_c_gives_exit_code_2_and_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A -C option with a missing folder ends in exit code 2, and the error names the folder."""
    assert code_of(sample, C="/nonexistent") == 2
    assert "-C /nonexistent: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("declared", TASKS, ids=lambda one: one.name)
def test_every_task_has_the_options_config_and_c(declared: HarnessTask) -> None:
    """Every task has the options `--config` and `-C`."""
    flags = {
        name for one in declared.get_arguments(ignore_unknown_help=True) for name in one.names
    }

    assert {"config", "C"} <= flags


@pytest.mark.parametrize("declared", TASKS, ids=lambda one: one.name)
def test_the_option_that_a_task_fills_from_a_plain_word_has_a_default_value(
    declared: HarnessTask,
) -> None:
    """`TASK WORD` is short for `TASK --option WORD`; without either, the default is used."""
    parameters = inspect.signature(declared.body).parameters

    if declared.word:
        assert parameters[declared.word].default is not inspect.Parameter.empty


@pytest.mark.parametrize(
    "declared",
    [one for one in TASKS if "run" in inspect.signature(one.body).parameters],
    ids=lambda one: one.name,
)
def test_a_task_with_the_option_run_takes_a_run_or_a_target_as_its_plain_word(
    declared: HarnessTask,
) -> None:
    """`TASK NAME` is short for --run NAME, or for a target in tasks that load a module."""
    positional = [one.name for one in declared.get_arguments() if one.positional]

    # kernel-load and kernel-test-load take the target as their plain word.
    assert {*positional, declared.word} & {"run", "target"}
