# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of artefacts.kernel_symbols: a kernel's vmlinux is fetched, checked and cached."""

import errno
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.artefacts import kernel_symbols
from harness.errors import KernelError, Lost
from harness.host import apt
from harness.model.settings import Kernel
from harness.symbols import elf

RELEASE = "6.1.0-9-toy-amd64"
VERSION = f"{RELEASE} (who@example) #1 SMP Debian 6.1.9-1 (2026-01-02)"
BANNER = f"Linux version {RELEASE} (who@example) (gcc-12) #1 SMP Debian 6.1.9-1 (2026-01-02)\\n"


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """Return a kernel whose vmlinuz contains the version text VERSION."""
    vmlinuz = tmp_path / "vmlinuz"
    vmlinuz.write_bytes(boot_image(VERSION))
    nowhere = Path("/")
    return Kernel(
        name="toy",
        release=RELEASE,
        version="6.1.9-1",
        key="key-made",
        vmlinuz=vmlinuz,
        initrd=nowhere,
        modules_disk=nowhere,
        kdir=nowhere,
        config=nowhere,
    )


def boot_image(version: str) -> bytes:
    """Return the beginning of a bzImage with this version string."""
    image = bytearray(0x1000)
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x20E, 0x600)
    image[0x800 : 0x800 + len(version)] = version.encode()
    return bytes(image)


def package(folder: Path, banner: str = BANNER, name: str = f"vmlinux-{RELEASE}") -> Path:
    """Return a debug package, built by dpkg-deb, whose vmlinux has this banner."""
    tree = folder / "tree"
    place = tree / "usr/lib/debug/boot"
    place.mkdir(parents=True)
    (folder / "toy.c").write_text(
        f'const char linux_banner[] = "{banner}";\nint main(void) {{ return linux_banner[0]; }}\n'
    )
    options = ["-g", "-Wl,--build-id=sha1", "-o", str(place / name)]
    subprocess.run(["gcc", str(folder / "toy.c"), *options], check=True)
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text(
        "Package: toy-dbg\nVersion: 1\nArchitecture: amd64\nMaintainer: who\nDescription: toy\n"
    )
    subprocess.run(
        ["dpkg-deb", "--build", str(tree), str(folder / "toy.deb")],
        check=True,
        capture_output=True,
    )
    return folder / "toy.deb"


def offering(monkeypatch: pytest.MonkeyPatch, deb: Path) -> list[Sequence[str]]:
    """Replace apt by a stand-in that delivers this package; return the recorded requests."""
    asked: list[Sequence[str]] = []

    def download(packages: Sequence[str], folder: Path) -> tuple[Path, ...]:
        asked.append(packages)
        return (Path(shutil.copy(deb, folder)),)

    monkeypatch.setattr(apt, "download", download)
    return asked


def test_two_requests_for_symbols_fetch_the_package_once_and_keep_vmlinux_and_its_lldb_copy(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The debug package of the kernel's exact version is fetched once for two requests.

    Only vmlinux and its reduced copy are kept of it.
    """
    asked = offering(monkeypatch, package(tmp_path))
    root = tmp_path / "cache"

    assert kernel_symbols.find(kernel, root) is None
    found = kernel_symbols.ensure(kernel, root=root, progress=lambda _: None)
    again = kernel_symbols.ensure(kernel, root=root, progress=lambda _: None)

    assert asked == [[f"linux-image-{RELEASE}-dbg=6.1.9-1"]]
    assert found == again
    assert kernel_symbols.find(kernel, root) == found.vmlinux
    assert found.build_id == elf.build_id(found.vmlinux) != ""
    names = {item.name for item in found.vmlinux.parent.iterdir()}
    assert names == {"vmlinux", "vmlinux.lldb", "symbols.json"}


def test_the_vmlinux_copy_for_lldb_has_symbols_and_no_debug_info(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy for lldb keeps the symbol table and loses .debug_info."""
    offering(monkeypatch, package(tmp_path))

    found = kernel_symbols.ensure(kernel, root=tmp_path / "cache", progress=lambda _: None)

    sections = {
        path: subprocess.run(
            ["readelf", "-SW", str(path)], check=True, capture_output=True, text=True
        ).stdout
        for path in (found.vmlinux, found.reduced)
    }
    assert ".debug_info" in sections[found.vmlinux]
    assert ".debug_info" not in sections[found.reduced]
    assert elf.SymbolTable(found.reduced).find("linux_banner")


@pytest.mark.parametrize(
    "banner",
    [
        BANNER.replace("6.1.9-1", "6.1.8-1"),
        BANNER.replace(RELEASE, "6.1.0-9-toy-amd64x"),
        "no banner at all",
    ],
)
def test_vmlinux_of_another_build_is_refused(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, banner: str
) -> None:
    """A vmlinux whose version text differs from that of the kernel's vmlinuz is refused."""
    offering(monkeypatch, package(tmp_path, banner))

    with pytest.raises(KernelError, match="belongs to another kernel") as caught:
        kernel_symbols.ensure(kernel, root=tmp_path / "cache", progress=lambda _: None)

    assert caught.value.evidence[0] == f"boots: {VERSION}"
    assert kernel_symbols.find(kernel, tmp_path / "cache") is None


def test_the_hint_for_a_debug_package_that_apt_lacks_is_apt_get_update(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error for a kernel's debug package that apt no longer has names package and version."""

    def download(packages: Sequence[str], _folder: Path) -> tuple[Path, ...]:
        raise KernelError(f"apt-get could not download {packages}", evidence=["E: not found"])

    monkeypatch.setattr(apt, "download", download)

    with pytest.raises(KernelError, match=r"linux-image-.*-dbg 6\.1\.9-1") as caught:
        kernel_symbols.ensure(kernel, root=tmp_path / "cache", progress=lambda _: None)

    assert "apt-get update" in caught.value.hint
    assert caught.value.evidence == ("E: not found",)


def test_a_full_disk_while_fetching_symbols_is_an_error_and_leaves_no_folder(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """'No space left' from apt or the system raises Lost: the disk is full; no folder stays."""
    deb = package(tmp_path)

    def download(_packages: Sequence[str], _folder: Path) -> tuple[Path, ...]:
        raise KernelError("apt-get failed", evidence=["Write error: No space left on device"])

    def copy(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(apt, "download", download)
    with pytest.raises(Lost, match="the disk is full"):
        kernel_symbols.ensure(kernel, root=tmp_path / "cache", progress=lambda _: None)
    offering(monkeypatch, deb)
    monkeypatch.setattr(shutil, "copyfileobj", copy)
    with pytest.raises(Lost, match="the disk is full"):
        kernel_symbols.ensure(kernel, root=tmp_path / "cache", progress=lambda _: None)

    assert [item for item in (tmp_path / "cache/symbols").iterdir() if item.is_dir()] == []


def test_a_debug_package_without_vmlinux_and_a_truncated_one_are_refused(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A debug package without vmlinux and a truncated package each give their own error."""
    deb = package(tmp_path, name="vmlinux-other")
    offering(monkeypatch, deb)

    with pytest.raises(KernelError, match=f"does not contain vmlinux-{RELEASE}"):
        kernel_symbols.ensure(kernel, root=tmp_path / "cache", progress=lambda _: None)
    deb.write_bytes(deb.read_bytes()[:-2000])
    with pytest.raises(KernelError, match=r"toy\.deb"):
        kernel_symbols.ensure(kernel, root=tmp_path / "cache", progress=lambda _: None)


def test_checking_that_vmlinux_matches_a_vmlinuz_that_is_no_bzimage_raises_kernel_error(
    kernel: Kernel, tmp_path: Path
) -> None:
    """A vmlinuz of unknown format is refused: its version text cannot be compared to vmlinux's."""
    (tmp_path / "other").write_bytes(bytes(0x1000))

    with pytest.raises(KernelError, match="no bzImage"):
        kernel_symbols.check_banner(
            tmp_path / "vmlinuz", replace(kernel, vmlinuz=tmp_path / "other").vmlinuz
        )
