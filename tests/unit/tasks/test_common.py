# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What every task has: --config, -C, a context with the options that were given, an exit code."""

import inspect
import os
import sys
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from harness.tasks.collection import TASKS
from harness.tasks.common import HarnessTask, TaskContext, task


@task(iterable=["many"], options_help={"name": "a name", "many": "words"})
def sample(
    context: TaskContext, name: str = "", many: list[str] | None = None, count: int = 3
) -> int:
    """Print what was given."""
    words = (context.config, sorted(context.given), name, many, count, Path.cwd())
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    return 7


def code_of(called: HarnessTask, **options: object) -> int:
    """Return the exit code of a task."""
    with pytest.raises(Exit) as ended:
        called(Context(), **options)
    code: int = ended.value.code
    return code


def test_a_context_holds_what_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    """An option at its default counts as not given."""
    code = code_of(sample, name="x", many=[], count=4, config="p.toml", C=None)

    assert code == 7
    assert capsys.readouterr().out == f"p.toml ['count', 'name'] x [] 4 {Path.cwd()}\n"


def test_a_task_acts_in_the_folder_of_c(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative paths are those of that folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()

    code_of(sample, C="there")

    assert capsys.readouterr().out.endswith(f" {tmp_path / 'there'}\n")
    os.chdir(tmp_path)


def test_a_folder_that_is_not_there_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and the folder's name."""
    assert code_of(sample, C="/nonexistent") == 2
    assert "-C /nonexistent: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("declared", TASKS, ids=lambda one: one.name)
def test_every_task_takes_a_configuration_and_a_folder(declared: HarnessTask) -> None:
    """`--config FILE` and `-C DIR` work everywhere."""
    flags = {
        name for one in declared.get_arguments(ignore_unknown_help=True) for name in one.names
    }

    assert {"config", "C"} <= flags


@pytest.mark.parametrize("declared", TASKS, ids=lambda one: one.name)
def test_a_word_without_a_name_is_an_option_of_its_task(declared: HarnessTask) -> None:
    """What `word` names is a parameter that may be left out."""
    parameters = inspect.signature(declared.body).parameters

    if declared.word:
        assert parameters[declared.word].default is not inspect.Parameter.empty
