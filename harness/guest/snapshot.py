# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The files of a booted guest's saved state: their place in the cache, and their removal.

A snapshot is a memory file and the disk overlay that belongs to it. Its key is a hash of
everything that could change the restored guest. A folder with that key is complete, or it does not
exist. `session` saves and restores the guest.
"""

import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness.artefacts import image
from harness.guest.domain_xml import render
from harness.host import accelerator, cache
from harness.model.domain import DomainSpec
from harness.model.settings import Image

# Increase this when the steps of `session` before a save, or the files of a snapshot, change.
_FORMAT = "2"
# A project tests a few combinations of image and kernel; each snapshot takes a few hundred MiB.
_KEPT = 5


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The files of one saved guest in the cache, which may not exist yet."""

    key: str
    folder: Path
    lock: Path
    uuid: str

    @property
    def memory(self) -> Path:
        """The file from which libvirt restores the memory."""
        return self.folder / "memory.save"

    @property
    def overlay(self) -> Path:
        """The overlay disk at the moment of the save, on top of the image."""
        return self.folder / "overlay.qcow2"

    @property
    def usable(self) -> bool:
        """Whether the snapshot exists and is complete."""
        return self.memory.is_file() and self.overlay.is_file()


def place(
    spec: DomainSpec, keys: tuple[str, ...], versions: Mapping[str, str], *, root: Path
) -> Snapshot:
    """Return the snapshot for a guest with this machine, image and kernel; it may not exist yet.

    `spec` describes the machine; paths and names that differ between runs do not count. `keys` are
    those of image and kernel, and the sizes of further disks. `versions` are those of libvirt and
    QEMU; other versions need another snapshot. Under KVM, so do another processor and another
    kernel of the host, because a cache may move to another host.
    """
    nowhere = Path("/")
    bare = replace(
        spec,
        name="",
        uuid="",
        run_id="",
        vmlinuz=nowhere,
        initrd=nowhere,
        overlay=nowhere,
        disks=tuple(nowhere for _ in spec.disks),
        modules_disk=nowhere,
        qmp_socket=nowhere,
        console_log=None,
    )
    version_words = [f"{name}={version}" for name, version in sorted(versions.items())]
    host_words = accelerator.host_words(spec.accel)
    key = cache.key_of(_FORMAT, render(bare), *keys, *version_words, *host_words)
    folder = root / "snapshots" / key
    return Snapshot(
        key=key,
        folder=folder,
        # The lock is beside the folder, because the folder exists only when it is complete.
        lock=root / "snapshots" / f".{key}.lock",
        # A restored domain must have the uuid with which it was saved.
        uuid=str(uuid.uuid5(uuid.NAMESPACE_OID, key)),
    )


@contextmanager
def making(snapshot: Snapshot) -> Iterator[Path]:
    """Make a temporary folder to fill; it becomes the snapshot if the block succeeds.

    The oldest snapshots are deleted first, so that at most `_KEPT` remain with the new one.
    Raises: Lost when the disk is full.
    """
    _forget_oldest(snapshot.folder.parent)
    with cache.publish(snapshot.folder) as folder:
        yield folder


def create_overlay(base: Image, snapshot: Snapshot, overlay: Path) -> None:
    """Create the overlay disk of a run's guest on top of the snapshot's, which is not changed."""
    image.make_overlay(replace(base, disk=snapshot.overlay), overlay)


def discard(snapshot: Snapshot) -> None:
    """Delete the files of a guest's saved state."""
    shutil.rmtree(snapshot.folder, ignore_errors=True)


def _forget_oldest(folder: Path) -> None:
    """Delete the oldest snapshots in a folder, so that with one more there are at most `_KEPT`."""
    if not folder.is_dir():
        return
    made = sorted(
        (item for item in folder.iterdir() if item.is_dir() and not item.name.startswith(".")),
        key=lambda item: item.stat().st_mtime,
    )
    for item in made[: max(0, len(made) - _KEPT + 1)]:
        shutil.rmtree(item, ignore_errors=True)
