# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""kernels: from a package's name to what must be fetched, and headers that work where they lie."""

import subprocess
from pathlib import Path

import pytest

from harness.artefacts import kernels
from harness.errors import KernelError
from harness.host import apt
from harness.model.machines import KernelSpec

DEPENDS = {
    "linux-image-cloud-amd64": ("linux-image-6.1.0-9-cloud-amd64",),
    "linux-image-6.1.0-9-cloud-amd64": ("kmod",),
    "linux-headers-6.1.0-9-cloud-amd64": (
        "linux-headers-6.1.0-9-common",
        "linux-kbuild-6.1",
        "linux-compiler-gcc-12-x86",
    ),
}


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let apt know one kernel."""
    monkeypatch.setattr(apt, "depends", lambda package: DEPENDS.get(package, ()))
    monkeypatch.setattr(apt, "versions", lambda names: dict.fromkeys(names, "6.1.9-1"))


def test_a_meta_package_leads_to_its_kernel() -> None:
    """And a versioned one to itself."""
    release = "linux-image-6.1.0-9-cloud-amd64"

    assert kernels.resolve("linux-image-cloud-amd64") == release
    assert kernels.resolve(release) == release


def test_what_is_no_kernel_is_refused() -> None:
    """A package of another kind is a mistake in the configuration."""
    with pytest.raises(KernelError, match="no kernel image"):
        kernels.resolve("vim")


def test_headers_without_their_parts_are_refused() -> None:
    """A kernel that modules cannot be built for is said before anything is fetched."""
    with pytest.raises(KernelError, match="does not depend on"):
        kernels._packages("linux-image-5.0-odd")


def test_a_package_that_is_not_offered_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lists may be old; the error says which package and what renews them."""
    monkeypatch.setattr(apt, "versions", lambda names: {names[0]: "1"})

    with pytest.raises(KernelError, match="offers no linux-headers") as caught:
        kernels.ensure(
            "k", KernelSpec(package="linux-image-cloud-amd64"), root=tmp_path, progress=print
        )

    assert "apt-get update" in caught.value.hint


def test_headers_work_wherever_they_lie(tmp_path: Path) -> None:
    """Absolute includes and links of the packages become relative: a cache can be moved."""
    source = tmp_path / "kernel" / "src"
    headers = source / "linux-headers-6.1.0-9-cloud-amd64"
    common = source / "linux-headers-6.1.0-9-common"
    scripts = tmp_path / "kernel" / "lib" / "linux-kbuild-6.1" / "scripts"
    for folder in (headers, common, scripts):
        folder.mkdir(parents=True)
    (headers / "Makefile").write_text("include /usr/src/linux-headers-6.1.0-9-common/Makefile\n")
    (common / "Makefile").write_text("all:\n\t@cat scripts/word\n")
    (headers / "scripts").symlink_to("../../lib/linux-kbuild-6.1/scripts")
    (scripts / "word").write_text("moved")

    kernels._relocate(source)
    (tmp_path / "kernel").rename(tmp_path / "elsewhere")

    place = tmp_path / "elsewhere" / "src" / headers.name
    done = subprocess.run(["make", "-C", place], check=True, capture_output=True, text=True)
    assert "moved" in done.stdout
