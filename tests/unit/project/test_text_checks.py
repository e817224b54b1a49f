# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of project.text_checks: each planted fault in a text is named, and good text passes."""

import subprocess
from pathlib import Path

import pytest

from harness.project import text_checks

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give an empty git checkout."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def test_a_misspelt_word_is_named_with_its_line(tree: Path) -> None:
    """The spelling check names a misspelt word with its line, but none in licence texts."""
    wrong = "rec" + "ieve"
    (tree / "README.md").write_text(f"Good text.\nThe reader will {wrong} a record.\n")
    (tree / "LICENSES").mkdir()
    (tree / "LICENSES" / "x.txt").write_text(wrong)

    (objection,) = text_checks.spelling(tree)

    assert objection == f"README.md:2: {wrong} ==> receive"


def test_the_spelling_check_without_codespell_says_that_dev_installs_it(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The spelling check fails when codespell is not installed."""
    monkeypatch.setattr("sys.executable", str(tree / "python"))

    (objection,) = text_checks.spelling(tree)

    assert "./dev installs it" in objection


def test_a_spelling_check_that_does_not_end_in_time_is_an_objection(
    tree: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A codespell that hangs is ended, and the check does not pass."""
    (tree / "README.md").write_text("Good text.\n")
    program = tmp_path_factory.mktemp("bin") / "codespell"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program.with_name("python")))
    monkeypatch.setattr(text_checks, "_SPELLING_S", 0.2)

    assert text_checks.spelling(tree) == ["codespell ended with status None"]


def test_a_phrase_that_the_style_guide_forbids_is_reported_in_prose_only(tree: Path) -> None:
    """The check `words` names such a phrase in a page with its line, but not in code."""
    (tree / "page.md").write_text("A new page.\nIt begins anew.\n")
    (tree / "code.py").write_text("begin_anew = 1  # anew\n")

    assert list(text_checks.clipped_words(tree)) == ["page.md:2: anew: write 'again'"]


@pytest.mark.parametrize(
    "action", ["actions/checkout@v4", "actions/checkout@main", "actions/checkout@34e1148"]
)
def test_a_ci_action_pinned_by_tag_branch_or_short_commit_hash_is_reported(
    tree: Path, action: str
) -> None:
    """The check of GitHub workflows accepts an action only by its full commit."""
    good = "actions/checkout@" + "3" * 40 + " # v4.3.1"
    (tree / ".github").mkdir()
    (tree / ".github" / "check.yml").write_text(
        f"steps:\n  - uses: {good}\n  - uses: ./.github/own\n  - uses: {action}\n"
    )

    assert list(text_checks.pinned_actions(tree)) == [
        f".github/check.yml:4: {action} is not pinned by a commit"
    ]


def test_a_fault_in_a_workflow_is_reported_and_a_missing_actionlint_too(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GitHub job that needs an unknown job is named; without actionlint the check fails."""
    folder = tree / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "check.yml").write_text(
        "on: push\njobs:\n  one:\n    needs: two\n    runs-on: ubuntu-latest\n"
        "    steps:\n      - run: make\n"
    )

    (objection,) = text_checks.workflows(tree)
    monkeypatch.setattr("sys.executable", str(tree / "python"))
    (without_tool,) = text_checks.workflows(tree)

    assert ".github/workflows/check.yml:3" in objection
    assert "two" in objection
    assert "./dev installs it" in without_tool


def test_links_to_missing_files_or_headings_are_reported(tree: Path) -> None:
    """The check of Markdown pages skips links in code, and names those out of the project."""
    (tree / "docs").mkdir()
    (tree / "docs" / "good.md").write_text("# One heading, two\n[up](../README.md)\n")
    (tree / "README.md").write_text(
        "[a](docs/good.md) [b](docs/good.md#one-heading-two) [c](https://example.org/x)\n"
        "[d](docs/gone.md) ![e](gone.svg)\n"
        "[f](docs/good.md#gone) [g](../outside.md)\n"
        "```\n[h](docs/gone.md)\n```\n`[i](docs/gone.md)`\n"
    )

    assert list(text_checks.links(tree)) == [
        "README.md:2: docs/gone.md: no such file",
        "README.md:2: gone.svg: no such file",
        "README.md:3: docs/good.md#gone: no such heading",
        "README.md:3: ../outside.md: leads out of the project",
    ]


def test_this_project_has_pinned_actions_and_no_dead_link() -> None:
    """In this project every action is pinned and no link is dead."""
    assert list(text_checks.pinned_actions(PROJECT)) == []
    assert list(text_checks.workflows(PROJECT)) == []
    assert list(text_checks.links(PROJECT)) == []
