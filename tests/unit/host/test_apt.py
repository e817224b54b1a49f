# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.apt: apt's output is parsed and stored, and third-party sources are left out."""

import os
from pathlib import Path

import pytest

from harness.errors import KernelError, Lost
from harness.host import apt, tool

TARGETS = """Debian|http://a.example/debian/|bookworm|main
Debian|http://a.example/debian/|bookworm|contrib
Debian|http://a.example/debian/|bookworm-updates|main
Debian|http://a.example/security/|bookworm-security|main
Somebody|http://other.example/|bookworm|main
"""


def answer_apt(monkeypatch: pytest.MonkeyPatch, answers: dict[str, str]) -> list[tuple[str, ...]]:
    """Replace apt by answers chosen by a word of the command; return the recorded commands."""
    commands: list[tuple[str, ...]] = []

    def output(*command: str) -> str:
        commands.append(command)
        return next((text for word, text in answers.items() if word in command), "")

    monkeypatch.setattr(apt, "_output", output)
    return commands


def test_debians_apt_sources_are_returned_for_the_wanted_suite_and_others_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The host's Debian sources come back with the wanted suite and all components."""
    answer_apt(monkeypatch, {"indextargets": TARGETS})

    assert apt.debian_sources("trixie") == [
        "deb http://a.example/debian/ trixie contrib main",
        "deb http://a.example/debian/ trixie-updates main",
        "deb http://a.example/security/ trixie-security main",
    ]


def test_the_sources_for_a_backports_suite_are_those_of_its_base_suite_and_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For trixie-backports, apt gets trixie and trixie-backports of the host's mirror."""
    answer_apt(monkeypatch, {"indextargets": TARGETS})

    assert apt.debian_sources("trixie-backports") == [
        "deb http://a.example/debian/ trixie contrib main",
        "deb http://a.example/debian/ trixie-backports contrib main",
        "deb http://a.example/debian/ trixie-updates main",
        "deb http://a.example/security/ trixie-security main",
    ]
    assert apt.base_suite("trixie-backports") == apt.base_suite("trixie") == "trixie"


def test_if_apt_has_no_package_lists_of_debian_the_error_hints_at_apt_get_update(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When apt has no package lists, the error's hint has the command that fetches them."""
    answer_apt(monkeypatch, {"indextargets": "Somebody|http://x/|bookworm|main\n"})

    with pytest.raises(Lost) as caught:
        apt.debian_sources("bookworm")

    assert "apt-get update" in caught.value.hint


def test_only_the_proxy_and_date_check_options_of_the_hosts_apt_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The harness's own calls of apt get these two options; others, such as Dir, are dropped."""
    dump = 'Acquire::http::Proxy "http://p:1";\nAcquire::Check-Date "false";\nDir "/";\n'
    answer_apt(monkeypatch, {"dump": dump})

    assert apt.options() == ('Acquire::http::Proxy="http://p:1"', 'Acquire::Check-Date="false"')


def test_dependencies_and_versions_are_parsed_from_apts_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From apt's text come a package's dependencies and version; an unknown one is an error."""
    policy = "a:\n  Installed: (none)\n  Candidate: 1.2-3\nb:\n  Candidate: (none)\n"
    answer_apt(monkeypatch, {"meta": "meta\n  Depends: x\n  Depends: y\n", "policy": policy})

    assert apt.depends("meta") == ("x", "y")
    assert apt.versions(["a", "b"]) == {"a": "1.2-3"}
    with pytest.raises(KernelError, match="no package nothing"):
        apt.depends("nothing")


def test_the_dependency_closure_has_no_virtual_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A dependency closure has real packages only, without the names that packages provide."""
    tree = "meta\n  Depends: x\n |Depends: <mail>\n    y\nx\n<mail>\ny\n  PreDepends: x\n"
    answer_apt(monkeypatch, {"--recurse": tree})

    assert apt.dependency_closure(["meta"]) == {"meta", "x", "y"}


def test_the_size_of_a_download_is_the_sum_over_apts_list_of_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The size of a download is the sum over apt's list of files; other lines do not count."""
    listed = "Get: x\n'http://h/a.deb' a_1.deb 2097152 SHA256:0\n'http://h/b.deb' b.deb 1048577\n"
    answer_apt(monkeypatch, {"--print-uris": listed})

    assert apt.download_mib(["a", "b"]) == 3


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("E: Failed to fetch x  Temporary failure resolving 'deb.example'", "check the network"),
        ("E: Can't find a source to download version '1' of 'a:amd64'", "apt-get update"),
    ],
)
def test_a_failed_downloads_hint_is_the_network_if_a_host_is_unresolved_else_apt_get_update(
    words: str, remedy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a network the hint is about the network, not about package lists."""
    ended = tool.Output(status=100, stdout=b"", stderr=words.encode())
    monkeypatch.setattr(tool, "run", lambda *_words, **_options: ended)

    with pytest.raises(KernelError) as caught:
        apt.download(["a"], tmp_path)

    assert remedy in caught.value.hint
    assert caught.value.evidence == (words,)


def test_a_stored_answer_of_apt_is_used_until_apts_state_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stored answer of apt is used until apt's state changes or the stored file is damaged."""
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
