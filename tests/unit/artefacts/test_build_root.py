# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of artefacts.build_root: a build root is made only where this host cannot build."""

import os
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.artefacts import bootstrap, build_root
from harness.artefacts.bootstrap import Bootstrap
from harness.host import apt
from harness.model.settings import Kernel


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """Give a kernel of this host's suite whose compiler is `sh`, a program that every host has."""
    folder = tmp_path / "kernel"
    kdir = folder / "src" / "linux-headers-6.1"
    kdir.mkdir(parents=True)
    return Kernel(
        name="k",
        release="6.1",
        version="1",
        key="key",
        vmlinuz=folder / "vmlinuz",
        initrd=folder / "initrd",
        modules_disk=folder / "modules.ext4",
        kdir=kdir,
        config=folder / "config",
        cc="sh",
    )


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> list[Bootstrap]:
    """Replace mmdebstrap and apt by stand-ins; the given list records each bootstrap."""
    found: list[Bootstrap] = []

    def run(what: Bootstrap, _options: Sequence[str], *, target: str, log: Path) -> None:
        found.append(what)
        log.write_text("")
        with tarfile.open(target, "w") as archive:
            device = tarfile.TarInfo("./dev/null")
            device.type = tarfile.CHRTYPE
            archive.addfile(device)
            closed = tarfile.TarInfo("etc")
            closed.type, closed.mode, closed.uid = tarfile.DIRTYPE, 0o555, 12345
            archive.addfile(closed)
            archive.addfile(tarfile.TarInfo("etc/motd"))

    monkeypatch.setattr(bootstrap, "run", run)
    monkeypatch.setattr(apt, "own_suite", lambda: "bookworm")
    monkeypatch.setattr(apt, "debian_sources", lambda suite: [f"deb http://x {suite} main"])
    return found


def fitted(kernel: Kernel, root: Path, *packages: str) -> Path | None:
    """Return the build root that the harness chooses for a kernel."""
    return build_root.fitted(kernel, packages, root=root, progress=lambda _: None).build_root


def test_a_host_that_can_build_needs_no_build_root(kernel: Kernel, tmp_path: Path) -> None:
    """No build root is made if this host has the kernel's compiler, Debian suite and packages."""
    assert fitted(kernel, tmp_path) is None
    assert fitted(kernel, tmp_path, "dpkg") is None


def test_a_kernel_that_this_host_cannot_build_for_gets_a_build_root(
    kernel: Kernel, tmp_path: Path, made: list[Bootstrap]
) -> None:
    """A kernel whose Debian suite, compiler or package this host lacks gets a build root.

    The build root is made once for each kind of lack.
    """
    other = fitted(replace(kernel, suite="trixie", cc="gcc-14"), tmp_path)
    again = fitted(replace(kernel, suite="trixie", cc="gcc-14"), tmp_path)
    lacking = fitted(replace(kernel, cc="gcc-99"), tmp_path)
    package = fitted(kernel, tmp_path, "no-such-package")

    assert other is not None
    assert other == again
    assert len({other, lacking, package}) == 3
    assert [one.suite for one in made] == ["trixie", "bookworm", "bookworm"]
    assert "gcc-14" in made[0].packages
    assert "no-such-package" in made[2].packages


def test_a_build_root_has_only_files_of_this_user_and_no_devices(
    kernel: Kernel, tmp_path: Path
) -> None:
    """A build root of another Debian suite is made without root: own files and no devices."""
    found = fitted(replace(kernel, suite="trixie"), tmp_path)

    assert found is not None
    assert not (found / "dev" / "null").exists()
    assert (found / "etc").stat().st_uid == os.getuid()
    assert (found / "etc" / "motd").is_file()


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        (".kernelvariables", "CC = $(if $(X),ccache) $(CROSS_COMPILE)gcc-12\n", "gcc-12"),
        (
            ".config",
            'CONFIG_CC_VERSION_TEXT="x86_64-linux-gnu-gcc-14 (Debian 14.2) 14"\n',
            "gcc-14",
        ),
        (".config", 'CONFIG_CC_VERSION_TEXT="gcc (GCC) 14"\n', "gcc"),
        (".config", "CONFIG_X=y\n", "gcc"),
    ],
)
def test_a_kernels_compiler_is_its_cc_field_else_the_one_in_its_headers_else_gcc(
    kernel: Kernel, file: str, text: str, name: str
) -> None:
    """The kernel's `cc` comes first, then the compiler that its headers or .config name."""
    (kernel.kdir / file).write_text(text)

    assert build_root.compiler(replace(kernel, cc="")) == name
    assert build_root.compiler(replace(kernel, cc="gcc-9")) == "gcc-9"


def test_a_build_root_of_backports_begins_with_their_base(
    tmp_path: Path, made: list[Bootstrap]
) -> None:
    """For trixie-backports, trixie is bootstrapped, since backports are no complete system."""
    build_root.ensure("trixie-backports", ("gcc-14",), root=tmp_path, progress=lambda _: None)

    assert [one.suite for one in made] == ["trixie"]
    assert made[0].sources == ("deb http://x trixie-backports main",)


def test_a_build_root_that_another_host_has_made_is_taken(
    tmp_path: Path, made: list[Bootstrap]
) -> None:
    """Its closed folders and their files arrive, and belong to this user."""
    shared = tmp_path / "shared"
    shared.mkdir()
    for host in ("a", "b"):
        found = build_root.ensure(
            "trixie", ("gcc-14",), root=tmp_path / host, shared=shared, progress=lambda _: None
        )

    assert len(made) == 1
    assert (found / "etc").stat().st_mode & 0o777 == 0o555
    assert (found / "etc" / "motd").stat().st_uid == os.getuid()
