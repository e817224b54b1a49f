# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of test_kinds.chosen: what runs is known, and mistakes are found, before the boot."""

from pathlib import Path

import pytest

from harness.errors import NoTests, TestsBroken, UsageError
from harness.model.request import Selection
from harness.model.settings import TestSpec
from harness.test_kinds import chosen

TESTS = """
import pytest

@pytest.mark.parametrize("n", ["a b", "c"])
def test_named(n): pass

def test_slow(): pass
"""


@pytest.fixture
def suites(tmp_path: Path) -> tuple[TestSpec, ...]:
    """Give a pytest folder with two files, a command, and a folder of two programs."""
    folder, programs = tmp_path / "tests", tmp_path / "programs"
    (folder / "below").mkdir(parents=True)
    programs.mkdir()
    (folder / "test_it.py").write_text(TESTS)
    (folder / "below" / "__init__.py").touch()
    (folder / "below" / "test_it.py").write_text("def test_slow(): pass\n")
    for name in ("quick.sh", "slow.sh"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    return (
        TestSpec(name="guest", pytest=folder),
        TestSpec(name="inside", command="greeter-test"),
        TestSpec(name="selftests", kselftest=programs),
    )


def names(suites: tuple[TestSpec, ...], build: Path, **selection: object) -> set[str]:
    """Return the names of the tests that a selection chooses."""
    found = chosen.choose(suites, Selection(**selection), build=build)  # type: ignore[arg-type]
    return {name for suite in found for name in suite.names}


def test_without_a_selection_the_tests_of_every_suite_are_listed(
    suites: tuple[TestSpec, ...], tmp_path: Path
) -> None:
    """Without a selection every test of every kind is listed, by a name of its own."""
    found = chosen.choose(suites, Selection(), build=tmp_path)

    assert chosen.lines(found) == (
        "guest (4 tests)",
        "  below/test_it::test_slow",
        "  test_it::test_named[a_b]",
        "  test_it::test_named[c]",
        "  test_it::test_slow",
        "inside (a command)",
        "  inside",
        "selftests (2 tests)",
        "  quick.sh",
        "  slow.sh",
    )


def test_one_k_expression_selects_both_pytest_tests_and_programs(
    suites: tuple[TestSpec, ...], tmp_path: Path
) -> None:
    """One expression of -k applies to pytest's tests, to commands and to programs alike."""
    assert names(suites, tmp_path, expression="slow and not below") == {
        "test_it::test_slow",
        "slow.sh",
    }


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("test_it::test_named[a b]", {"test_it::test_named[a_b]"}),
        ("test_it::test_named", {"test_it::test_named[a_b]", "test_it::test_named[c]"}),
        ("below", {"below/test_it::test_slow"}),
        ("tests/below/test_it.py::test_slow", {"below/test_it::test_slow"}),
        ("tests/below", {"below/test_it::test_slow"}),
        ("inside", {"inside"}),
        ("selftests", {"quick.sh", "slow.sh"}),
    ],
)
def test_naming_a_test_or_a_folder_or_a_suite_selects_exactly_the_tests_in_it(
    suites: tuple[TestSpec, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wanted: str,
    found: set[str],
) -> None:
    """kernel-test also takes a file's path from the caller's folder."""
    monkeypatch.chdir(tmp_path)

    assert names(suites, tmp_path, tests=(wanted,)) == found


def test_a_part_of_a_test_name_selects_nothing_and_the_error_has_similar_names(
    suites: tuple[TestSpec, ...], tmp_path: Path
) -> None:
    """A part of a name selects nothing: the error names similar tests."""
    with pytest.raises(UsageError, match=r"no test slow; did you mean slow\.sh") as caught:
        names(suites, tmp_path, tests=("slow",))

    assert "--list" in caught.value.hint


@pytest.mark.parametrize(
    ("expression", "message"),
    [("slow and", "-k 'slow and': "), ("nothing_like_it", "selects no test")],
)
def test_an_expression_that_is_wrong_or_selects_nothing_is_refused(
    suites: tuple[TestSpec, ...], tmp_path: Path, expression: str, message: str
) -> None:
    """A wrong expression and one without a hit are mistakes of the command line."""
    with pytest.raises(UsageError) as caught:
        names(suites, tmp_path, expression=expression)

    assert message in caught.value.message


@pytest.mark.parametrize("file", ["test_it.py", "conftest.py"])
def test_the_error_for_a_test_file_that_cannot_be_imported_names_it_and_the_cause(
    suites: tuple[TestSpec, ...], tmp_path: Path, file: str
) -> None:
    """A test file or conftest.py that cannot be imported is named with the cause."""
    (tmp_path / "tests" / file).write_text("import no_such_module_anywhere\n")

    with pytest.raises(TestsBroken) as caught:
        names(suites, tmp_path)

    assert "No module named 'no_such_module_anywhere'" in caught.value.message
    assert file in "\n".join((caught.value.message, *caught.value.evidence))


def test_choosing_from_suites_without_any_test_raises_an_error(tmp_path: Path) -> None:
    """A pytest folder without tests, as the only suite, ends in NoTests with the suite's name."""
    with pytest.raises(NoTests, match="no test was collected: guest"):
        names((TestSpec(name="guest", pytest=tmp_path),), tmp_path)
