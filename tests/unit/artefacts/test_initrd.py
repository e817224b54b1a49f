# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of artefacts.initrd: the archive is complete, and its modules load in a working order."""

import gzip
from pathlib import Path

import pytest

from harness.artefacts import initrd
from harness.errors import KernelError


def modules_folder(folder: Path) -> Path:
    """Write a modules folder: blk needs ring and bus, fs has a soft dependency on a checksum."""
    (folder / "modules.dep").write_text(
        "kernel/virtio_blk.ko: kernel/bus.ko kernel/ring.ko\n"
        "kernel/ring.ko:\n"
        "kernel/bus.ko: kernel/ring.ko\n"
        "kernel/fs-ext4.ko:\n"
        "kernel/crc32c_generic.ko:\n"
    )
    (folder / "modules.builtin").write_text("kernel/drivers/virtio_pci.ko\n")
    (folder / "modules.softdep").write_text("# comment\nsoftdep fs_ext4 pre: crc32c\n")
    (folder / "modules.alias").write_text("alias crc32c crc32c_generic\nalias other thing\n")
    (folder / "kernel").mkdir()
    for name in ("virtio_blk", "ring", "bus", "fs-ext4", "crc32c_generic"):
        (folder / "kernel" / f"{name}.ko").write_bytes(name.encode())
    return folder


def entries(archive: bytes) -> dict[str, bytes]:
    """Return name and data of every entry of a newc archive."""
    data, at = gzip.decompress(archive), 0
    found: dict[str, bytes] = {}
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        size, name_size = fields[6], fields[11]
        name = data[at + 110 : at + 110 + name_size - 1].decode()
        start = at + 110 + name_size
        start += -start % 4
        if name == "TRAILER!!!":
            return found
        found[name] = data[start : start + size]
        at = start + size
        at += -at % 4


def test_the_modules_that_a_module_needs_are_loaded_before_it(tmp_path: Path) -> None:
    """A guest's initrd loads modules after their hard and soft dependencies, and each once."""
    folder = modules_folder(tmp_path)

    wanted = ("virtio_pci", "virtio_blk", "fs_ext4")
    order = [path.name for path in initrd.load_order(folder, wanted)]

    assert order == ["crc32c_generic.ko", "ring.ko", "bus.ko", "virtio_blk.ko", "fs-ext4.ko"]


def test_a_kernel_without_a_disk_driver_is_refused(tmp_path: Path) -> None:
    """load_order raises KernelError if a kernel lacks a wanted disk driver, here nvme."""
    with pytest.raises(KernelError, match="no nvme"):
        list(initrd.load_order(modules_folder(tmp_path), ("nvme",)))


def test_the_initrd_has_busybox_init_and_modules_and_two_builds_are_equal(tmp_path: Path) -> None:
    """A guest's initrd also lists the order of its modules; two builds are equal bytes."""
    folder = modules_folder(tmp_path)

    first = initrd.build(busybox=b"box", modules=folder, wanted=("virtio_blk",))
    found = entries(first)

    assert found["bin/busybox"] == b"box"
    assert found["init"].startswith(b"#!/bin/sh\n")
    assert found["modules/ring.ko"] == b"ring"
    assert found["modules/order"].decode().split()[-1] == "virtio_blk.ko"
    assert found["bin/mount"] == b"busybox"
    assert first == initrd.build(busybox=b"box", modules=folder, wanted=("virtio_blk",))


def test_an_overlay_archive_lists_folders_before_files_and_keeps_file_modes() -> None:
    """In files added to a guest's initrd, folders come first: the kernel makes none by itself."""
    archive = initrd.overlay({"/usr/bin/tool": (b"tool", 0o755), "/init": (b"#!", 0o700)})

    found = entries(archive)

    assert list(found) == ["usr", "usr/bin", "init", "usr/bin/tool"]
    assert found["usr/bin/tool"] == b"tool"
    data = gzip.decompress(archive)
    at = data.index(b"init\0") - 110
    assert int(data[at + 14 : at + 22], 16) == 0o100700
