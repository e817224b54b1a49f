# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""debian_build: what is written beside a project's debian/; tests/packages runs the build."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.release import debian_packages
from harness.release.debian_packages import DebianRequest
from harness.release.versions import ReleaseVersion

VERSION = ReleaseVersion(text="1.2~git1.abc", commit="abc", epoch_s=1795613487)


@pytest.fixture
def request_(tmp_path: Path) -> DebianRequest:
    """Give a request with a debian/ of two files."""
    debian = tmp_path / "debian"
    debian.mkdir()
    (debian / "control").write_text("Source: m\nMaintainer: @MAINTAINER@\n")
    (debian / "control.module").write_text("\nPackage: m-modules-@RELEASE@\nDepends: @RELEASE@\n")
    return DebianRequest(
        name="m",
        version=VERSION,
        maintainer="A B <a@b.invalid>",
        source=tmp_path / "source",
        debian=debian,
        modules={"6.12.1+deb13-cloud-amd64": (), "6.1.0-9-cloud-amd64": ()},
        skip_kernel=False,
        work=tmp_path / "work",
    )


def test_each_kernel_has_its_stanza(request_: DebianRequest) -> None:
    """In an order of its own, so that two builds are the same; none without a kernel."""
    assert debian_packages.control(request_) == (
        "Source: m\nMaintainer: A B <a@b.invalid>\n"
        "\nPackage: m-modules-6.1.0-9-cloud-amd64\nDepends: 6.1.0-9-cloud-amd64\n"
        "\nPackage: m-modules-6.12.1+deb13-cloud-amd64\nDepends: 6.12.1+deb13-cloud-amd64\n"
    )
    assert "m-modules" not in debian_packages.control(replace(request_, modules={}))


def test_the_changelog_has_the_commits_time(request_: DebianRequest) -> None:
    """In dpkg's format; every file of the packages gets this time."""
    head, _, middle, _, end = debian_packages.changelog(request_).splitlines()

    assert head == "m (1.2~git1.abc) unstable; urgency=medium"
    assert middle == "  * Built from commit abc."
    assert end == " -- A B <a@b.invalid>  Wed, 25 Nov 2026 13:31:27 +0000"


def test_the_build_sees_nothing_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the user's would make other packages on another day."""
    monkeypatch.setenv("CFLAGS", "-O0")

    found = debian_packages._environment(VERSION)

    assert "CFLAGS" not in found
    assert found["SOURCE_DATE_EPOCH"] == "1795613487"
