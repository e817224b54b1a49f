# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of tasks.requests: options become a request, and a wrong one is a sentence."""

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.tasks.common import TaskContext
from harness.tasks.requests import request_from


@pytest.fixture
def context(tmp_path: Path) -> TaskContext:
    """Give the context of a project with a kernel tree of its own beside the kernels that ship."""
    (tmp_path / "linux").mkdir()
    (tmp_path / "Kbuild").write_text("obj-m := m.o\n")
    file = tmp_path / "modlab.toml"
    file.write_text('[module]\nname = "m"\n[kernels]\nmine = { tree = "linux" }\n')
    return TaskContext(config=str(file))


def test_the_option_build_marks_only_the_chosen_kernel_tree_to_be_built(
    context: TaskContext,
) -> None:
    """--build sets that the chosen kernel's tree is built first, and changes nothing without."""
    asked = request_from(context, {"kernel": "mine", "build": True})

    assert [name for name, one in asked.settings.kernels.items() if one.build] == ["mine"]
    assert not request_from(context, {"kernel": "mine"}).settings.kernels["mine"].build


def test_the_option_build_with_a_packaged_kernel_is_an_error_whose_hint_shows_the_key_tree(
    context: TaskContext,
) -> None:
    """--build with a packaged kernel is an error whose hint shows how to name a tree."""
    with pytest.raises(UsageError, match=r"--build: the kernel 6\.1 is no tree") as caught:
        request_from(context, {"build": True})

    assert "tree =" in caught.value.hint


@pytest.mark.parametrize("text", ["", "x", "-1", "\N{SUPERSCRIPT TWO}", "9" * 5000])
def test_a_number_of_processors_that_is_no_number_is_an_error(
    context: TaskContext, text: str
) -> None:
    """The option --cpus refuses digits of other scripts and thousands of digits, like a word."""
    with pytest.raises(UsageError, match=r"--cpus .*: a number is expected"):
        request_from(context, {"cpus": text})
