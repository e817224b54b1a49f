# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.apt_suite: lists of a suite are fetched when old or from another mirror."""

import os
import time
from pathlib import Path

import pytest

from harness.errors import KernelError
from harness.host import apt, apt_suite

DAY_S = 86400


@pytest.fixture
def fetches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the host one mirror, and return a list that records each fetch of package lists."""
    suites: list[str] = []
    monkeypatch.setattr(apt, "debian_sources", lambda suite: [f"deb http://m {suite} main"])
    monkeypatch.setattr(apt_suite, "_update", lambda suite, _options: suites.append(suite))
    return suites


def view(root: Path) -> tuple[str, ...]:
    """Return apt's options for the suite trixie."""
    return apt_suite.view("trixie", root=root, progress=lambda _: None)


def test_package_lists_are_fetched_again_only_after_a_day(
    tmp_path: Path, fetches: list[str]
) -> None:
    """For a day, apt uses the lists of another Debian suite that are in the harness's cache."""
    first = view(tmp_path)
    assert view(tmp_path) == first
    assert fetches == ["trixie"]
    old = time.time() - DAY_S - 1
    os.utime(tmp_path / "apt/suite-trixie/updated", (old, old))

    view(tmp_path)

    assert fetches == ["trixie", "trixie"]
    places = [one.split("=")[2] for one in first if one.startswith("-o=Dir::")]
    assert len(places) == 5
    assert all(place.startswith(str(tmp_path)) for place in places)


def test_package_lists_are_fetched_again_when_the_mirror_changes(
    tmp_path: Path, fetches: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cached lists of a Debian suite are fetched at once after the host's mirror changed."""
    view(tmp_path)
    monkeypatch.setattr(apt, "debian_sources", lambda suite: [f"deb http://n {suite} main"])

    view(tmp_path)

    assert fetches == ["trixie", "trixie"]
    assert "http://n " in (tmp_path / "apt/suite-trixie/sources.list").read_text()


def test_package_lists_are_fetched_again_after_a_failed_fetch(
    tmp_path: Path, fetches: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed fetch of a Debian suite's lists is not remembered; the next call tries again."""

    def fail(suite: str, _options: tuple[str, ...]) -> None:
        fetches.append(suite)
        raise KernelError("no such suite")

    monkeypatch.setattr(apt_suite, "_update", fail)
    for _ in range(2):
        with pytest.raises(KernelError):
            view(tmp_path)

    assert fetches == ["trixie", "trixie"]


def test_another_architecture_and_backports_have_lists_of_their_own(
    tmp_path: Path, fetches: list[str]
) -> None:
    """Apt gets options for arm64 and to prefer backports; the plain suite's lists have neither."""
    plain = view(tmp_path)
    found = apt_suite.view(
        "trixie-backports", root=tmp_path, progress=lambda _: None, arch="arm64"
    )

    assert fetches == ["trixie", "trixie-backports"]
    assert "-o=APT::Architectures::=arm64" in found
    assert "-o=APT::Default-Release=trixie-backports" in found
    assert not any("Architectures" in one or "Default-Release" in one for one in plain)
