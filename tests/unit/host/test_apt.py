# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.apt: apt's output is parsed, asked for rarely, and third parties are left out."""

import os
from pathlib import Path

import pytest

from harness.errors import KernelError, Lost
from harness.host import apt

TARGETS = """Debian|http://a.example/debian/|bookworm|main
Debian|http://a.example/debian/|bookworm|contrib
Debian|http://a.example/debian/|bookworm-updates|main
Debian|http://a.example/security/|bookworm-security|main
Somebody|http://other.example/|bookworm|main
"""


def answer_apt(monkeypatch: pytest.MonkeyPatch, answers: dict[str, str]) -> list[tuple[str, ...]]:
    """Answer apt's commands by their first matching word; return the list of commands."""
    commands: list[tuple[str, ...]] = []

    def output(*command: str) -> str:
        commands.append(command)
        return next((text for word, text in answers.items() if word in command), "")

    monkeypatch.setattr(apt, "_output", output)
    return commands


def test_only_debians_sources_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Components are joined, third parties are left out, and the suite is replaced everywhere."""
    answer_apt(monkeypatch, {"indextargets": TARGETS})

    assert apt.debian_sources("trixie") == [
        "deb http://a.example/debian/ trixie contrib main",
        "deb http://a.example/debian/ trixie-updates main",
        "deb http://a.example/security/ trixie-security main",
    ]


def test_an_apt_without_lists_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without package lists the error has the command that fetches them."""
    answer_apt(monkeypatch, {"indextargets": "Somebody|http://x/|bookworm|main\n"})

    with pytest.raises(Lost) as caught:
        apt.debian_sources("bookworm")

    assert "apt-get update" in caught.value.hint


def test_the_hosts_fetch_options_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Options for proxies and date checks are kept, all others are dropped."""
    dump = 'Acquire::http::Proxy "http://p:1";\nAcquire::Check-Date "false";\nDir "/";\n'
    answer_apt(monkeypatch, {"dump": dump})

    assert apt.options() == ('Acquire::http::Proxy="http://p:1"', 'Acquire::Check-Date="false"')


def test_dependencies_and_versions_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package without a candidate has no version, and an unknown package is an error."""
    policy = "a:\n  Installed: (none)\n  Candidate: 1.2-3\nb:\n  Candidate: (none)\n"
    answer_apt(monkeypatch, {"meta": "meta\n  Depends: x\n  Depends: y\n", "policy": policy})

    assert apt.depends("meta") == ("x", "y")
    assert apt.versions(["a", "b"]) == {"a": "1.2-3"}
    with pytest.raises(KernelError, match="no package nothing"):
        apt.depends("nothing")


def test_the_dependency_closure_has_no_virtual_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The closure has real packages only; names that packages provide are left out."""
    tree = "meta\n  Depends: x\n |Depends: <mail>\n    y\nx\n<mail>\ny\n  PreDepends: x\n"
    answer_apt(monkeypatch, {"--recurse": tree})

    assert apt.dependency_closure(["meta"]) == {"meta", "x", "y"}


def test_an_answer_is_remembered_until_apt_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer is stored; a change of apt's state or a damaged file leads to a new question."""
    questions: list[int] = []

    def ask() -> list[str]:
        questions.append(1)
        return ["answer"]

    for state in (1, 1, 2):
        monkeypatch.setattr(apt, "_state", lambda now=state: [now])
        assert apt.cached_answer(tmp_path, "question", ask) == ["answer"]
    (tmp_path / "apt" / "question.json").write_text('{"state": [2], "ans')
    apt.cached_answer(tmp_path, "question", ask)

    assert len(questions) == 3
    assert os.listdir(tmp_path / "apt") == ["question.json"]
