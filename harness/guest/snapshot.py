# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The saved state of a booted guest: where it lies, what makes it valid, how it goes away.

A snapshot is a memory file and the disk overlay that goes with it. Its key covers everything that
could change what is restored; a folder under that key is complete, or it is not there. How the
state is made and brought back is the business of `session`.
"""

import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness.artefacts import image
from harness.guest.domain_xml import render
from harness.host import cache
from harness.model.settings import DomainSpec, Image

# Raised when what `session` does before it saves changes.
_FORMAT = "1"
_KEPT = 5


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One place in the cache for one saved guest, there already or not yet."""

    key: str
    folder: Path
    lock: Path
    uuid: str

    @property
    def memory(self) -> Path:
        """The file that libvirt restores."""
        return self.folder / "memory.save"

    @property
    def overlay(self) -> Path:
        """The disk as it was at that moment, on top of the image."""
        return self.folder / "overlay.qcow2"

    @property
    def usable(self) -> bool:
        """Whether the snapshot is there, whole."""
        return self.memory.is_file() and self.overlay.is_file()


def place(
    spec: DomainSpec, keys: tuple[str, ...], versions: Mapping[str, str], *, root: Path
) -> Snapshot:
    """Return where the snapshot of such a guest lies.

    `spec` describes the machine; its paths and names of one run do not count. `keys` are those of
    image and kernel.
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
        modules_disk=nowhere,
        qmp_socket=nowhere,
        console_log=None,
    )
    known = [f"{name}={version}" for name, version in sorted(versions.items())]
    key = cache.key_of(_FORMAT, render(bare), *keys, *known)
    folder = root / "snapshots" / key
    return Snapshot(
        key=key,
        folder=folder,
        lock=root / "snapshots" / f".{key}.lock",
        uuid=str(uuid.uuid5(uuid.NAMESPACE_OID, key)),
    )


@contextmanager
def making(snapshot: Snapshot) -> Iterator[Path]:
    """Give a folder to be filled; it becomes the snapshot when the block ends without an error."""
    _forget_oldest(snapshot.folder.parent)
    with cache.publish(snapshot.folder) as folder:
        yield folder


def layer(base: Image, snapshot: Snapshot, overlay: Path) -> None:
    """Create a run's own overlay on top of the snapshot's, which stays untouched."""
    image.make_overlay(replace(base, disk=snapshot.overlay), overlay)


def discard(snapshot: Snapshot) -> None:
    """Throw a snapshot away."""
    shutil.rmtree(snapshot.folder, ignore_errors=True)


def _forget_oldest(folder: Path) -> None:
    """Keep the few snapshots that were made last: each is some hundred MiB."""
    if not folder.is_dir():
        return
    made = sorted(
        (item for item in folder.iterdir() if item.is_dir() and not item.name.startswith(".")),
        key=lambda item: item.stat().st_mtime,
    )
    for item in made[: max(0, len(made) - _KEPT + 1)]:
        shutil.rmtree(item, ignore_errors=True)
