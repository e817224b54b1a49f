# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of debian_packages: the files that are written for the build; tests/packages builds."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.release import debian_packages
from harness.release.debian_packages import DebianRequest
from harness.release.versions import ReleaseVersion

VERSION = ReleaseVersion(text="1.2~git1.abc", commit="abc", epoch_s=1795613487)


@pytest.fixture
def request_(tmp_path: Path) -> DebianRequest:
    """Return a request with a debian/ folder of two files."""
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


def test_the_control_file_has_the_maintainer_and_one_stanza_for_each_kernel_in_sorted_order(
    request_: DebianRequest,
) -> None:
    """debian/control, made from the configuration, has a driver package for each kernel."""
    assert debian_packages.control(request_) == (
        "Source: m\nMaintainer: A B <a@b.invalid>\n"
        "\nPackage: m-modules-6.1.0-9-cloud-amd64\nDepends: 6.1.0-9-cloud-amd64\n"
        "\nPackage: m-modules-6.12.1+deb13-cloud-amd64\nDepends: 6.12.1+deb13-cloud-amd64\n"
    )
    assert "m-modules" not in debian_packages.control(replace(request_, modules={}))


def test_the_changelog_has_the_version_the_commit_the_maintainer_and_the_commits_time(
    request_: DebianRequest,
) -> None:
    """debian/changelog, made from the commit, has the time in dpkg's format."""
    head, _, middle, _, end = debian_packages.changelog(request_).splitlines()

    assert head == "m (1.2~git1.abc) unstable; urgency=medium"
    assert middle == "  * Built from commit abc."
    assert end == " -- A B <a@b.invalid>  Wed, 25 Nov 2026 13:31:27 +0000"


def test_environment_variables_of_the_caller_are_not_passed_to_the_package_build(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The build of Debian packages sees no variable of the caller that could change them."""
    monkeypatch.setenv("CFLAGS", "-O0")

    found = debian_packages._environment(VERSION)

    assert found.keys() == {"PATH", "LC_ALL", "TZ", "SOURCE_DATE_EPOCH", "DEB_BUILD_OPTIONS"}
    assert found["SOURCE_DATE_EPOCH"] == "1795613487"
