# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""apt_suite: another suite's lists are fetched when they are old or from elsewhere, and kept."""

import os
import time
from pathlib import Path

import pytest

from harness.errors import KernelError
from harness.host import apt, apt_suite

DAY_S = 86400


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the host have one mirror, and note each fetching of lists."""
    found: list[str] = []
    monkeypatch.setattr(apt, "debian_sources", lambda suite: [f"deb http://m {suite} main"])
    monkeypatch.setattr(apt_suite, "_update", lambda suite, _options: found.append(suite))
    return found


def view(root: Path) -> tuple[str, ...]:
    """Ask for trixie."""
    return apt_suite.view("trixie", root=root, progress=lambda _: None)


def test_lists_are_fetched_once_a_day(tmp_path: Path, fetched: list[str]) -> None:
    """The options are the same each time, and show the cache alone."""
    first = view(tmp_path)
    assert view(tmp_path) == first
    assert fetched == ["trixie"]
    old = time.time() - DAY_S - 1
    os.utime(tmp_path / "apt/suite-trixie/updated", (old, old))

    view(tmp_path)

    assert fetched == ["trixie", "trixie"]
    places = [one.split("=")[2] for one in first if one.startswith("-o=Dir::")]
    assert len(places) == 5
    assert all(place.startswith(str(tmp_path)) for place in places)


def test_another_mirror_is_asked_at_once(
    tmp_path: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's sources changed, so what was fetched from the old ones does not count."""
    view(tmp_path)
    monkeypatch.setattr(apt, "debian_sources", lambda suite: [f"deb http://n {suite} main"])

    view(tmp_path)

    assert fetched == ["trixie", "trixie"]
    assert "http://n " in (tmp_path / "apt/suite-trixie/sources.list").read_text()


def test_a_failure_is_not_remembered_as_success(
    tmp_path: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next call tries again."""

    def fail(suite: str, _options: tuple[str, ...]) -> None:
        fetched.append(suite)
        raise KernelError("no such suite")

    monkeypatch.setattr(apt_suite, "_update", fail)
    for _ in range(2):
        with pytest.raises(KernelError):
            view(tmp_path)

    assert fetched == ["trixie", "trixie"]
