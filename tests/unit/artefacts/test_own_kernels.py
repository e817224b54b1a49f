# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of artefacts.own_kernels: a user's tree, packages or image become a kernel for guests."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.artefacts import kernel_parts, kernels, own_kernels
from harness.errors import KernelError
from harness.model.machines import KernelSpec
from harness.model.settings import Kernel

RELEASE = "6.9.0-mine"
MAKEFILE = """all:
\techo made >> made
modules_install:
\tmkdir -p $(INSTALL_MOD_PATH)/lib/modules/6.9.0-mine
\tprintf 'kernel/%s.ko\\n' virtio_pci virtio_blk ext4 \\
\t\t> $(INSTALL_MOD_PATH)/lib/modules/6.9.0-mine/modules.builtin
"""


def bzimage() -> bytes:
    """Return the beginning of a bzImage: the magic number and the text of its version."""
    head = bytearray(0x1000)
    head[0x202:0x206] = b"HdrS"
    head[0x20E:0x210] = (0x300).to_bytes(2, "little")
    text = f"{RELEASE} (me@here) #1 SMP\0".encode()
    head[0x500 : 0x500 + len(text)] = text
    return bytes(head)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give a kernel tree with the files that a finished build leaves."""
    root = tmp_path / "linux"
    for name in ("arch/x86/boot", "include/config"):
        (root / name).mkdir(parents=True)
    (root / "arch/x86/boot/bzImage").write_bytes(bzimage())
    (root / "include/config/kernel.release").write_text(f"{RELEASE}\n")
    (root / ".config").write_text("CONFIG_X=y\n")
    (root / "modules.order").write_text("")
    (root / "Makefile").write_text(MAKEFILE)
    return root


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace fetching by a stand-in, and skip the test on a host that lacks the needed tools."""
    for name in ("mke2fs", "depmod"):
        if shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
            pytest.skip(f"no {name} here")
    monkeypatch.setattr(own_kernels, "_busybox", lambda _folder: b"busybox")


def ensure(root: Path, **values: object) -> Kernel:
    """Return the kernel that these configuration values describe."""
    spec = KernelSpec(**values)  # type: ignore[arg-type]
    return kernels.ensure("mine", spec, root=root / "cache", progress=lambda _: None)


def test_a_kernel_tree_is_cached_until_its_image_changes_and_its_headers_are_used_in_place(
    tree: Path, tmp_path: Path
) -> None:
    """Image, modules and .config of the user's kernel tree are copied once, its headers never."""
    first, second = ensure(tmp_path, tree=tree), ensure(tmp_path, tree=tree)
    (tree / "arch/x86/boot/bzImage").write_bytes(bzimage() + b"new")
    third = ensure(tmp_path, tree=tree)

    assert first == second
    assert (first.release, first.kdir) == (RELEASE, tree)
    assert first.config.read_text() == "CONFIG_X=y\n"
    assert first.modules_disk.is_file()
    assert third.key != first.key
    assert not (tree / "made").exists()


@pytest.mark.parametrize("line", ["kernel/drivers/m.ko", "drivers/m.o"])
def test_changed_content_of_a_module_in_a_kernel_tree_gives_the_kernel_another_cache_key(
    line: str, tree: Path, tmp_path: Path
) -> None:
    """A module that the user built again is noticed, although image and names are the same."""
    (tree / "modules.order").write_text(f"{line}\n")
    (tree / "drivers").mkdir()
    (tree / "drivers" / "m.ko").write_text("first")
    first = ensure(tmp_path, tree=tree)
    (tree / "drivers" / "m.ko").write_text("second")

    assert ensure(tmp_path, tree=tree).key != first.key


def test_the_error_for_a_tree_that_does_not_build_has_the_compilers_message(
    tree: Path, tmp_path: Path
) -> None:
    """A failing make ends in an error with the compiler's messages and the place of the log."""
    (tree / "Makefile").write_text("all:\n\t@echo 'init/main.c:7:1: error: no'; exit 1\n")

    with pytest.raises(KernelError, match="does not build") as caught:
        ensure(tmp_path, tree=tree, build=True)

    assert "init/main.c:7:1: error: no" in caught.value.evidence
    log = tmp_path / "cache" / "kernels" / ".mine.make.log"
    assert log.is_file()
    assert str(log) in caught.value.hint


def test_with_build_set_to_true_make_runs_in_the_kernel_tree(tree: Path, tmp_path: Path) -> None:
    """With `build = true`, the user's kernel tree is built before its kernel is used."""
    ensure(tmp_path, tree=tree, build=True)

    assert (tree / "made").read_text() == "made\n"


def test_a_tree_that_is_not_built_is_refused(tree: Path, tmp_path: Path) -> None:
    """For an unbuilt tree, the error names the missing bzImage, and the hint `build = true`."""
    (tree / "arch/x86/boot/bzImage").unlink()

    with pytest.raises(KernelError, match="bzImage is not there") as caught:
        ensure(tmp_path, tree=tree)

    assert "build = true" in caught.value.hint


def test_a_bare_kernel_image_without_modules_is_accepted(tmp_path: Path) -> None:
    """The user's bzImage is accepted without modules: its drivers for guests may be built in."""
    image = tmp_path / "bzImage"
    image.write_bytes(bzimage())

    found = ensure(tmp_path, image=image)

    assert found.release == RELEASE
    assert found.initrd.is_file()


def test_a_file_that_is_not_a_bzimage_is_refused(tmp_path: Path) -> None:
    """An ELF file, as a vmlinux is, is refused; the hint names arch/x86/boot/bzImage."""
    image = tmp_path / "vmlinux"
    image.write_bytes(b"\x7fELF" + bytes(0x1000))

    with pytest.raises(KernelError, match="is no bzImage") as caught:
        ensure(tmp_path, image=image)

    assert "makes arch/x86/boot/bzImage" in caught.value.hint


def test_a_kernels_release_image_and_headers_are_taken_from_a_deb_package(tmp_path: Path) -> None:
    """A .deb with the layout of `make bindeb-pkg` gives a kernel's release, image and headers."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("no dpkg-deb here (dpkg)")
    inside = tmp_path / "package"
    for name in ("DEBIAN", "boot", f"lib/modules/{RELEASE}", f"usr/src/linux-headers-{RELEASE}"):
        (inside / name).mkdir(parents=True)
    control = "Package: k\nVersion: 1\nArchitecture: all\nMaintainer: n <n@x.invalid>\n"
    (inside / "DEBIAN" / "control").write_text(f"{control}Description: d\n")
    (inside / "boot" / f"vmlinuz-{RELEASE}").write_bytes(bzimage())
    builtin = "".join(f"kernel/{name}.ko\n" for name in ("virtio_pci", "virtio_blk", "ext4"))
    (inside / f"lib/modules/{RELEASE}" / "modules.builtin").write_text(builtin)
    (inside / f"usr/src/linux-headers-{RELEASE}" / "Makefile").write_text("all:\n")
    file = tmp_path / "k.deb"
    subprocess.run(["dpkg-deb", "--build", str(inside), str(file)], check=True)

    found = ensure(tmp_path, files=(file,))

    assert found.release == RELEASE
    assert (found.kdir / "Makefile").is_file()
    assert found.vmlinuz.read_bytes() == bzimage()


def test_debians_headers_still_find_the_common_headers_after_unpacking(tmp_path: Path) -> None:
    """Headers in Debian packages name a common package by absolute path; `make` works unpacked."""
    inside = tmp_path / "tree"
    own, common = (
        inside / "usr/src" / f"linux-headers-{name}" for name in ("6.1-9", "6.1-common")
    )
    for folder in (own, common, inside / "usr/lib/linux-kbuild-6.1/scripts"):
        folder.mkdir(parents=True)
    (own / "Makefile").write_text("include /usr/src/linux-headers-6.1-common/Makefile\n")
    (common / "Makefile").write_text("all:\n\t@echo common\n")
    (own / "scripts").symlink_to("/usr/lib/linux-kbuild-6.1/scripts")
    folder = tmp_path / "kernel"
    folder.mkdir()

    kernel_parts.take_headers(inside, folder)

    moved = folder / "src" / own.name
    made = subprocess.run(["make", "-s", "-C", str(moved)], capture_output=True, check=True)
    assert made.stdout == b"common\n"
    assert (moved / "scripts").resolve() == folder / "lib/linux-kbuild-6.1/scripts"


def test_a_kernels_image_config_and_headers_are_taken_from_an_rpm_package(tmp_path: Path) -> None:
    """An .rpm as Fedora makes it: image beside the modules, headers in usr/src/kernels."""
    for name, package in (("bsdtar", "libarchive-tools"), ("rpmbuild", "rpm")):
        if shutil.which(name) is None:
            pytest.skip(f"no {name} here ({package})")
    inside = tmp_path / "inside"
    modules, headers = f"lib/modules/{RELEASE}", f"usr/src/kernels/{RELEASE}"
    for name in (modules, headers):
        (inside / name).mkdir(parents=True)
    (inside / modules / "vmlinuz").write_bytes(bzimage())
    (inside / modules / "config").write_text("CONFIG_X=y\n")
    builtin = "".join(f"kernel/{name}.ko\n" for name in ("virtio_pci", "virtio_blk", "ext4"))
    (inside / modules / "modules.builtin").write_text(builtin)
    (inside / headers / "Makefile").write_text("all:\n")
    spec = tmp_path / "k.spec"
    spec.write_text(
        "Name: k\nVersion: 1\nRelease: 1\nSummary: k\nLicense: GPL\n%description\nk\n"
        f"%install\ncp -a {inside}/. %{{buildroot}}\n%files\n/lib/modules\n/usr/src/kernels\n"
    )
    build = ["rpmbuild", "-bb", "--define", f"_topdir {tmp_path}/rpm", str(spec)]
    subprocess.run(build, check=True, capture_output=True)
    (file,) = (tmp_path / "rpm" / "RPMS").rglob("*.rpm")

    found = ensure(tmp_path, files=(file,))

    assert (found.release, found.config.read_text()) == (RELEASE, "CONFIG_X=y\n")
    assert found.vmlinuz.read_bytes() == bzimage()
    assert (found.kdir / "Makefile").is_file()


def test_packages_without_an_image_are_refused(tmp_path: Path) -> None:
    """A .deb without any files, which the user gives as a kernel, is refused."""
    inside = tmp_path / "package" / "DEBIAN"
    inside.mkdir(parents=True)
    control = "Package: k\nVersion: 1\nArchitecture: all\nMaintainer: n <n@x.invalid>\n"
    (inside / "control").write_text(f"{control}Description: d\n")
    file = tmp_path / "k.deb"
    subprocess.run(["dpkg-deb", "--build", str(inside.parent), str(file)], check=True)

    with pytest.raises(KernelError, match="no package contains a kernel image"):
        ensure(tmp_path, files=(file,))
