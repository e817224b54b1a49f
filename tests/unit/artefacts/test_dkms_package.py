# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of artefacts.dkms_package: a package is fetched once, and its fields are read."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.artefacts import dkms_package
from harness.artefacts.dkms_package import DkmsPackage
from harness.errors import UsageError
from harness.host import apt

CONTROL = """Package: m-dkms
Version: 1.0-1
Architecture: all
Maintainer: nobody <nobody@example.invalid>
Depends: dkms (>= 2.1), libx-dev (>= 1) | liby-dev, perl:any,
 pkg-config
Recommends: linux-headers-amd64 | linux-headers, tool
Description: a module
 for a test
"""


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace apt by a stand-in with two packages; the returned list records what was fetched."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("no dpkg-deb here (dpkg)")
    found: list[str] = []

    def download(packages: Sequence[str], folder: Path) -> tuple[Path, ...]:
        found.extend(packages)
        tree = tmp_path / "made"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN" / "control").write_text(CONTROL)
        if packages[0].startswith("m-"):
            (tree / "usr/src/m-1.0").mkdir(parents=True)
            (tree / "usr/src/m-1.0/dkms.conf").write_text("PACKAGE_NAME=m\n")
        command = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(folder / "m.deb")]
        subprocess.run(command, check=True, capture_output=True)
        return (folder / "m.deb",)

    monkeypatch.setattr(apt, "download", download)
    known = {"m-dkms": "1.0-1", "empty-dkms": "1.0-1"}
    monkeypatch.setattr(
        apt, "versions", lambda names: {one: known[one] for one in names if one in known}
    )
    return found


def fetch(name: str, root: Path) -> DkmsPackage:
    """Return a package from the cache in `root`."""
    return dkms_package.fetch(name, root=root, progress=lambda _: None)


def test_a_second_fetch_of_a_dkms_package_returns_the_stored_one(
    tmp_path: Path, fetched: list[str]
) -> None:
    """The package is fetched once; its unpacked source and its dependencies are then cached."""
    first, second = fetch("m-dkms", tmp_path), fetch("m-dkms", tmp_path)

    assert first == second
    assert fetched == ["m-dkms=1.0-1"]
    assert (first.source / "dkms.conf").is_file()
    assert first.depends == ("libx-dev", "perl", "pkg-config")
    assert first.recommends == ("tool",)


@pytest.mark.parametrize(
    ("name", "says"), [("no-dkms", "apt knows no package"), ("empty-dkms", "no source")]
)
@pytest.mark.usefixtures("fetched")
def test_a_package_that_apt_does_not_know_or_that_has_no_dkms_conf_is_refused(
    tmp_path: Path, name: str, says: str
) -> None:
    """A package that apt does not know, or that has no dkms.conf, is an error."""
    with pytest.raises(UsageError, match=says):
        fetch(name, tmp_path)


def test_only_a_word_ending_in_dkms_without_a_slash_is_a_package_name() -> None:
    """For `init`, the word acpi-call-dkms is a package, ./acpi-call-dkms and acpi-call are not."""
    assert dkms_package.is_name("acpi-call-dkms")
    assert not dkms_package.is_name("acpi-call")
    assert not dkms_package.is_name("./acpi-call-dkms")
    assert not dkms_package.is_name("a b-dkms")
