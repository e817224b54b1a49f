# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of targets.opencore_disk: disks with a real FAT file system are edited and restored."""

import plistlib
import shutil
import struct
import subprocess
import uuid
import zlib
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.targets import opencore, opencore_disk

pytestmark = pytest.mark.skipif(
    shutil.which("mformat") is None or shutil.which("qemu-img") is None,
    reason="mtools or qemu-utils is not installed",
)
_MIB = 1 << 20
_SECTOR_BYTES = 512
_FIRST_LBA = 2048
APPLE = "7C436110-AB2A-4BBB-A880-FE41995C9F82"
CONFIG: dict[str, Any] = {
    "Kernel": {"Add": [{"BundlePath": "Lilu.kext"}]},
    "NVRAM": {
        "Add": {APPLE: {"boot-args": "-v alcid=1", "csr-active-config": b"\x26\x0f\x00\x00"}},
        "Delete": {APPLE: ["prev-lang:kbd"]},
    },
}


def gpt(size_bytes: int) -> bytes:
    """Return the head of a disk with one EFI system partition (UEFI specification, 5.3)."""
    last = size_bytes // _SECTOR_BYTES - 34
    kind = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b").bytes_le
    entry = struct.pack("<16s16sQQQ72s", kind, uuid.uuid4().bytes_le, _FIRST_LBA, last, 0, b"")
    entries = entry + bytes(128 * 127)
    where = (1, size_bytes // _SECTOR_BYTES - 1, 34, last)

    def header(checksum: int) -> bytes:
        return struct.pack(
            "<8sIIIIQQQQ16sQIII",
            *(b"EFI PART", 0x10000, 92, checksum, 0, *where, uuid.UUID(int=7).bytes_le),
            *(2, 128, 128, zlib.crc32(entries)),
        )

    protective = bytes(446) + struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff" * 3, 1, last)
    protective += bytes(48) + b"\x55\xaa"
    return protective + header(zlib.crc32(header(0))).ljust(_SECTOR_BYTES, b"\0") + entries


def make_disk(folder: Path, *, form: str, partitioned: bool, config: bytes | None) -> Path:
    """Make a disk with OpenCore's folder on it."""
    raw = folder / "disk.raw"
    size = 40 * _MIB
    raw.write_bytes((gpt(size) if partitioned else b"").ljust(size, b"\0"))
    offset = _FIRST_LBA * _SECTOR_BYTES if partitioned else 0
    image = f"{raw}@@{offset}"
    sectors = (size - offset - 34 * _SECTOR_BYTES) // _SECTOR_BYTES
    subprocess.run(["mformat", "-i", image, "-T", str(sectors), "::"], check=True)
    if config is not None:
        subprocess.run(["mmd", "-i", image, "::/EFI", "::/EFI/OC"], check=True)
        command = ["mcopy", "-i", image, "-", "::/EFI/OC/config.plist"]
        subprocess.run(command, check=True, input=config)
    if form == "raw":
        return raw
    disk = folder / "disk.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", form, str(raw), str(disk)], check=True)
    raw.unlink()
    return disk


@pytest.mark.parametrize(("form", "partitioned"), [("qcow2", True), ("raw", True), ("raw", False)])
def test_undo_restores_the_sip_flags_and_boot_arguments_of_an_edited_opencore_disk(
    tmp_path: Path,
    form: str,
    partitioned: bool,  # noqa: FBT001
) -> None:
    """A real disk image for a Mac's guest gets the flags in its config.plist."""
    before = plistlib.dumps(CONFIG)
    disk = make_disk(tmp_path, form=form, partitioned=partitioned, config=before)
    original = opencore_disk.settings(disk)

    done = opencore_disk.allow_kexts(disk, debug=("keepsyms=1",))
    edited = opencore_disk.settings(disk)
    again = opencore_disk.allow_kexts(disk, debug=("keepsyms=1",))
    back = opencore_disk.undo(disk)

    assert original == opencore.Settings(csr=0xF26, boot_args="-v alcid=1")
    assert edited == opencore.Settings(csr=0xF6F, boot_args="-v alcid=1 keepsyms=1")
    assert "--undo takes it back" in done[0]
    assert "has it already" in again[0]
    assert "back to csr-active-config 0xf26" in back[0]
    assert opencore_disk.settings(disk) == original
    assert "nothing to take back" in opencore_disk.undo(disk)[0]
    assert [path.name for path in tmp_path.iterdir()] == [disk.name]


def test_a_disk_on_which_nothing_changes_is_not_replaced(tmp_path: Path) -> None:
    """A second equal change of the OpenCore disk, and an undo without a change, write nothing."""
    disk = make_disk(tmp_path, form="qcow2", partitioned=True, config=plistlib.dumps(CONFIG))
    before = disk.stat()

    opencore_disk.undo(disk)
    untouched = disk.stat()
    opencore_disk.allow_kexts(disk, debug=())
    changed = disk.stat()
    opencore_disk.allow_kexts(disk, debug=())
    again = disk.stat()

    assert (untouched.st_ino, untouched.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert changed.st_ino != before.st_ino
    assert (again.st_ino, again.st_mtime_ns) == (changed.st_ino, changed.st_mtime_ns)


def test_snapshots_within_a_disk_outlive_a_change(tmp_path: Path) -> None:
    """The qcow2 snapshots in an OpenCore disk are there after its config.plist was changed."""
    disk = make_disk(tmp_path, form="qcow2", partitioned=True, config=plistlib.dumps(CONFIG))
    subprocess.run(["qemu-img", "snapshot", "-c", "clean", str(disk)], check=True)
    before = opencore_disk.settings(disk)

    opencore_disk.allow_kexts(disk, debug=())
    changed = opencore_disk.settings(disk)
    subprocess.run(["qemu-img", "snapshot", "-a", "clean", str(disk)], check=True)

    assert changed != before
    assert opencore_disk.settings(disk) == before


def test_undo_after_two_changes_restores_the_original_sip_flags_and_boot_arguments(
    tmp_path: Path,
) -> None:
    """The OpenCore disk keeps the settings from before the first change."""
    before = plistlib.dumps(CONFIG)
    disk = make_disk(tmp_path, form="raw", partitioned=True, config=before)

    opencore_disk.allow_kexts(disk, debug=())
    opencore_disk.allow_kexts(disk, debug=("keepsyms=1",))
    opencore_disk.undo(disk)

    assert opencore_disk.settings(disk) == opencore.read(before)


def test_a_changed_config_plist_keeps_kernel_and_tells_opencore_to_delete_old_nvram_values() -> (
    None
):
    """OpenCore uses new boot-args only if its config.plist lists the NVRAM name to delete."""
    wanted = opencore.for_kexts(opencore.read(plistlib.dumps(CONFIG)))

    config = plistlib.loads(opencore.with_settings(plistlib.dumps(CONFIG), wanted))

    assert config["Kernel"] == CONFIG["Kernel"]
    assert config["NVRAM"]["Delete"][APPLE] == ["prev-lang:kbd", "csr-active-config", "boot-args"]


def test_a_disk_without_opencore_is_refused_and_untouched(tmp_path: Path) -> None:
    """A disk without OpenCore is refused with mtools' message, and is not changed."""
    disk = make_disk(tmp_path, form="raw", partitioned=True, config=None)
    before = disk.read_bytes()

    with pytest.raises(UsageError, match="cannot do its part") as caught:
        opencore_disk.allow_kexts(disk, debug=())

    assert caught.value.evidence
    assert disk.read_bytes() == before
    assert list(tmp_path.iterdir()) == [disk]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<plist>",
        plistlib.dumps({}),
        plistlib.dumps([1]),
        plistlib.dumps({"NVRAM": {"Add": []}}),
        plistlib.dumps({"NVRAM": {"Add": {APPLE: 3}}}),
        plistlib.dumps({"NVRAM": {"Add": {}, "Delete": [1]}}),
        plistlib.dumps({"NVRAM": {"Add": {}, "Delete": {APPLE: 3}}}),
        plistlib.dumps({"NVRAM": {"Add": {APPLE: {"csr-active-config": bytes(8)}}}}),
        plistlib.dumps({"NVRAM": {"Add": {APPLE: {"csr-active-config": "text"}}}}),
    ],
)
def test_a_file_that_is_no_opencore_config_is_refused(data: bytes) -> None:
    """A damaged config.plist and one of another program are refused."""
    with pytest.raises(UsageError):
        opencore.read(data)


def test_a_missing_disk_is_a_usage_error(tmp_path: Path) -> None:
    """A missing disk is a usage error that says so."""
    with pytest.raises(UsageError, match="no such disk"):
        opencore_disk.settings(tmp_path / "none.qcow2")
