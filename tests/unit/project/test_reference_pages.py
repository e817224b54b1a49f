# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of project.reference_pages: pages are made from the code; each key needs a description."""

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import pytest

from harness import errors
from harness.host import config
from harness.model.settings import System, TestSpec
from harness.project import reference_pages
from harness.project.reference_pages import TaskText


@dataclass(frozen=True, kw_only=True)
class _Whole:
    """A table for this test. Its second sentence.

    Attributes:
        name: What it is called, a <b> of text
            that goes on here.
        places: Where it is.
        system: What it runs.
        mode: Permission bits.
        arch: One of two words.
        sizes: Numbers by name.
        file: No key: the reader sets it.
    """

    name: str
    places: tuple[Path, ...] = (Path("a"),)
    system: System = System.LINUX
    mode: int = 0o644
    arch: Literal["amd64", "arm64"] = "amd64"
    sizes: dict[str, float] = field(default_factory=dict)
    file: Path | None = None


@dataclass(frozen=True, kw_only=True)
class _Silent:
    """A table whose field has no text.

    Attributes:
        gone: A field that is not there.
    """

    name: str


def test_type_default_and_text_of_a_configuration_key_come_from_its_dataclass() -> None:
    """The page of configuration keys is generated from the dataclasses that read them."""
    text, keys = reference_pages.documented(_Whole)

    assert text == "A table for this test. Its second sentence."
    assert [(key.name, key.type, key.default) for key in keys] == [
        ("name", "string", "**required**"),
        ("places", "array of paths", '`["a"]`'),
        ("system", '`"linux"` or `"macos"`', '`"linux"`'),
        ("mode", "integer", "`0o644`"),
        ("arch", '`"amd64"` or `"arm64"`', '`"amd64"`'),
        ("sizes", "table of numbers", "`{}`"),
    ]
    assert keys[0].text == "What it is called, a &lt;b> of text that goes on here."


def test_a_configuration_key_without_a_description_is_refused() -> None:
    """The generated configuration page needs a text for each key, and a key for each text."""
    with pytest.raises(ValueError, match=r"_Silent: .*: gone, name"):
        reference_pages.documented(_Silent)


def test_the_configuration_page_has_five_table_headings_and_every_key_of_a_test_suite() -> None:
    """The generated configuration page has headings like [tool.harness.targets.NAME]."""
    page = reference_pages.configuration()

    for headline in (
        "## `[tool.harness]`",
        "## `[tool.harness.module.variants.KEY]`",
        "## `[[tool.harness.tests]]`",
        "## `[tool.harness.targets.NAME]`",
        "## `[tool.harness.packages]`",
    ):
        assert headline in page
    for one in fields(TestSpec):
        assert f"| `{one.name}` | " in page


def test_the_exit_codes_page_has_every_error() -> None:
    """The generated page of exit codes lists each class of errors.py and panic-explain's code."""
    page = reference_pages.exit_codes()

    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, errors.HarnessError):
            assert f"| {value.exit_code} | `{name}` | " in page
    for code, text in errors.OTHER_EXIT_CODES.items():
        assert f"| {code} | - | {text} |" in page
    assert set(errors.OTHER_EXIT_CODES) == {0, 5, 130, 141}


class _Recorder(dict[str, str]):
    """The variables of an environment, which remembers the names that were asked for."""

    def __init__(self, variables: dict[str, str]) -> None:
        super().__init__(variables)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a variable, or the default."""
        self.asked.add(name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)


def test_the_environment_page_has_each_variable_that_the_harness_reads_and_no_other() -> None:
    """The page of environment variables has a row for each name for which config.py asks."""
    variables = _Recorder({"HARNESS_RUN": "file", "KDIR": "folder"})
    config.environment(variables)

    page = reference_pages.environment_variables()

    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == variables.asked


def test_the_tasks_page_is_sorted_by_name_with_aliases_options_and_shared_options_once() -> None:
    """The generated page of tasks lists options that all tasks share only once."""
    shared = ("--config FILE", "configuration to use")
    own = ("--x N", "a number")
    page = reference_pages.tasks(
        (
            TaskText(name="second", aliases=("two",), text="Run.", options=(own, shared)),
            TaskText(name="first", aliases=(), text="Walk.", options=(shared,)),
        )
    )

    assert page.index("## first") < page.index("## second")
    assert "Also: `two`." in page
    assert "| `--x N` | a number |" in page
    assert page.count("| `--config FILE` | configuration to use |") == 1
