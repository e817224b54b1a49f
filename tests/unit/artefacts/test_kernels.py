# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of artefacts.kernels: a kernel's name leads to its packages, and headers can be moved."""

import subprocess
from pathlib import Path

import pytest

from harness.artefacts import kernel_parts, kernels
from harness.errors import KernelError
from harness.host import apt
from harness.model.limits import Timeouts
from harness.model.machines import KernelSpec
from harness.model.settings import Accel, Kernel

DEPENDS = {
    "linux-image-cloud-amd64": ("linux-image-6.1.0-9-cloud-amd64",),
    "linux-image-6.1.0-9-cloud-amd64": ("kmod",),
    "linux-headers-6.1.0-9-cloud-amd64": (
        "linux-headers-6.1.0-9-common",
        "linux-kbuild-6.1",
        "linux-compiler-gcc-12-x86",
    ),
    "linux-image-7.3.4-amd64": (
        "linux-base",
        "linux-base-7.3.4-amd64",
        "linux-binary-7.3.4-amd64",
        "linux-modules-7.3.4-amd64",
    ),
    "linux-headers-7.3.4-amd64": ("linux-headers-7.3.4-common", "linux-kbuild-7.3.4"),
}


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace apt by a stand-in that knows one kernel."""
    monkeypatch.setattr(apt, "depends", lambda package: DEPENDS.get(package, ()))
    monkeypatch.setattr(apt, "versions", lambda names: dict.fromkeys(names, "6.1.9-1"))


def test_a_meta_package_is_resolved_to_the_kernel_it_depends_on() -> None:
    """A meta package leads to the kernel that it depends on, and a versioned package to itself."""
    release = "linux-image-6.1.0-9-cloud-amd64"

    assert kernels.resolve("linux-image-cloud-amd64") == release
    assert kernels.resolve(release) == release


def test_a_package_that_is_not_a_kernel_is_refused() -> None:
    """A configured package that is not a kernel image is an error."""
    with pytest.raises(KernelError, match="no kernel image"):
        kernels.resolve("vim")


def test_a_kernel_without_headers_is_refused() -> None:
    """A kernel whose headers package has no common headers and no kbuild is a KernelError."""
    with pytest.raises(KernelError, match="does not depend on"):
        kernels._packages("linux-image-5.0-odd")


def test_an_empty_image_package_leads_to_the_packages_with_the_kernel_and_its_modules() -> None:
    """For linux-image-R the list has linux-base-R, -binary-R and -modules-R, not linux-base."""
    packages = kernels._packages("linux-image-7.3.4-amd64")

    assert {f"linux-{part}-7.3.4-amd64" for part in ("base", "binary", "modules")} < set(packages)
    assert "linux-base" not in packages


def test_packages_without_a_kernel_are_an_error_that_names_the_places(tmp_path: Path) -> None:
    """The kernel of unpacked packages is looked for in two places, which the error names."""
    placed = tmp_path / "usr/lib/modules/1/vmlinuz"
    placed.parent.mkdir(parents=True)
    placed.touch()
    places = ("boot/vmlinuz-1", "usr/lib/modules/1/vmlinuz")

    assert kernels._first(tmp_path, *places) == placed
    placed.unlink()
    with pytest.raises(KernelError, match="hold none of boot/vmlinuz-1, usr/lib/modules/1"):
        kernels._first(tmp_path, *places)


def test_the_error_for_a_package_that_apt_lacks_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error for a package that apt lacks names it and the command that renews the lists."""
    monkeypatch.setattr(apt, "versions", lambda names: {names[0]: "1"})

    with pytest.raises(KernelError, match="offers no linux-headers") as caught:
        kernels.ensure(
            "k", KernelSpec(package="linux-image-cloud-amd64"), root=tmp_path, progress=print
        )

    assert "apt-get update" in caught.value.hint


def test_make_in_relocated_kernel_headers_finds_includes_and_links_after_the_folder_is_moved(
    tmp_path: Path,
) -> None:
    """Absolute includes and links of packaged headers become relative, so the cache can move."""
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

    kernel_parts._relocate(source)
    (tmp_path / "kernel").rename(tmp_path / "elsewhere")

    place = tmp_path / "elsewhere" / "src" / headers.name
    done = subprocess.run(["make", "-C", place], check=True, capture_output=True, text=True)
    assert "moved" in done.stdout


@pytest.mark.parametrize(
    ("option", "accel", "factor"),
    [
        ("CONFIG_KASAN=m", Accel.KVM, 3.0),
        ("CONFIG_KASAN=y", Accel.KVM, 12.0),
        ("CONFIG_KASAN=m", Accel.TCG, 5.0),
        ("CONFIG_KASAN=y", Accel.TCG, 20.0),
    ],
)
def test_deadlines_grow_for_a_slow_accelerator_and_again_for_a_kernel_with_checks(
    option: str, accel: Accel, factor: float, tmp_path: Path
) -> None:
    """The factors of the accelerator and of the kernel multiply."""
    config = tmp_path / "config"
    config.write_text(f"{option}\n")
    limits = Timeouts(kvm_factor=3.0, tcg_factor=5.0)
    kernel = Kernel(
        name="k",
        release="6.1",
        version="1",
        key="k",
        vmlinuz=tmp_path,
        initrd=tmp_path,
        modules_disk=tmp_path,
        kdir=tmp_path,
        config=config,
    )

    assert kernel_parts.deadline_factor(kernel, limits, accel) == factor
