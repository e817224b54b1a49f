# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Guest images: bootstrapped from the host's apt sources, and cached by a hash of their input.

An image contains no kernel; `kernels` fetches kernels, and every image boots with every kernel.
"""

import json
import os
import secrets
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness.artefacts import bootstrap
from harness.artefacts.bootstrap import Bootstrap
from harness.artefacts.cached import artefact
from harness.artefacts.cached.artefact import Artefact
from harness.errors import ConfigError, ImageError
from harness.host import apt, cache, toml_file, tool
from harness.model.machines import ImageChange, ImageSpec, out_of_range
from harness.model.settings import Image

Progress = Callable[[str], None]

# Raise this number when this module makes a different image from the same input.
_FORMAT = "2"
_LOCK_S = 1800.0
_STEP_S = 600.0
# Room for ext4's tables, which even an empty folder needs.
_SHARE_SPARE_MIB = 32
_ADAPTER = TypeAdapter(ImageSpec)
_CHANGE = TypeAdapter(ImageChange)
_SHIPPED = Path(__file__).with_name("images")
# Folders of the cache that hold one folder, named NAME-KEY or KEY, for each item.
_OF_ITEMS = ("images", "kernels", "sources", "headers", "buildroots", "symbols", "snapshots")
# Folders of the cache that are listed as a whole.
_WHOLE = ("builds", "dkms", "apt", "checkpatch", "cpu-models", "emulators", "libvirt", "live")
CACHE_FOLDERS = (*_OF_ITEMS, *_WHOLE)


@dataclass(frozen=True, kw_only=True)
class CachedItem:
    """One item in the cache, as the task image-list shows it: its kind, name, size and folder.

    `key` is the hash in the folder's name, "" for a folder that is listed as a whole. `last_used`
    is in seconds since the epoch.
    """

    kind: str
    name: str
    key: str
    size_bytes: int
    last_used: float
    folder: Path


def load_spec(images: Path, wanted: str | ImageChange) -> ImageSpec:
    """Return the description of an image, with the content of the image that it extends.

    `wanted` is an image's name, or a change to a named image. The project's own <images>/NAME.toml
    is preferred to an image that ships with the harness.
    Raises: ConfigError for a missing file, and for any wrong key, type or path.
    """
    if isinstance(wanted, ImageChange):
        base = load_spec(images, wanted.extends)
        return _extended(base, wanted, name=f"{base.name}-extended")
    return _named(wanted, (images, _SHIPPED))


def _named(name: str, folders: Sequence[Path], *, above: tuple[Path, ...] = ()) -> ImageSpec:
    """Return the description of the named image from the first folder that contains one.

    When an image extends an image of its own name, the extended image is looked up only in the
    folders that come after this image's folder. `above` are the files of the images that extend
    this one.
    Raises: ConfigError when no folder has the image, an image extends itself, or a file is wrong.
    """
    files = [folder / f"{name}.toml" for folder in folders]
    file = next((file for file in files if toml_file.is_file(file)), None)
    if file is None:
        known = sorted({found.stem for folder in folders for found in folder.glob("*.toml")})
        where = above[-1] if above else folders[0] / f"{name}.toml"
        key = "extends" if above else "-"
        raise ConfigError(where, key, f"no image {name!r}; there are: {', '.join(known)}")
    if file in above:
        raise ConfigError(above[-1], "extends", f"{name} extends this image itself")
    spec = _read(file, name)
    if isinstance(spec, ImageSpec):
        return _located(spec, file)
    below = folders[folders.index(file.parent) + (1 if spec.extends == name else 0) :]
    base = _named(spec.extends, below, above=(*above, file))
    extended = _extended(base, spec, name=name)
    return _located(extended, file) if spec.setup else extended


def _read(file: Path, name: str) -> ImageSpec | ImageChange:
    """Return the description in a file, of an image or of a change to another image.

    Raises: ConfigError for a wrong key, type or size.
    """
    table = toml_file.read(file)
    if "name" in table:
        raise ConfigError(file, "name", f"no such key; the file's own name is {name}")
    try:
        if "extends" in table:
            spec: ImageSpec | ImageChange = _CHANGE.validate_python(table)
        else:
            spec = _ADAPTER.validate_python({"name": name, **table})
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(file, ".".join(map(str, first["loc"])), first["msg"]) from error
    wrong = "" if spec.size_mib is None else out_of_range("size_mib", spec.size_mib)
    if wrong:
        raise ConfigError(file, "size_mib", wrong)
    return spec


def _extended(base: ImageSpec, change: ImageChange, *, name: str) -> ImageSpec:
    return replace(
        base,
        name=name,
        packages=tuple(sorted({*base.packages, *change.packages})),
        size_mib=change.size_mib or base.size_mib,
        setup=change.setup or base.setup,
    )


def _located(spec: ImageSpec, file: Path) -> ImageSpec:
    """Return the image with the full path of its set-up script, which lies beside its file.

    Raises: ConfigError when there is no such script.
    """
    setup = file.parent / spec.setup
    if not setup.is_file():
        raise ConfigError(file, "setup", f"no such file: {setup}")
    return replace(spec, setup=setup)


def ensure(
    spec: ImageSpec, *, root: Path, shared: Path | None = None, progress: Progress
) -> Image:
    """Return the image, from the cache, from the `shared` one, or bootstrapped now (minutes).

    Raises: ImageError when it cannot be made, CacheBusy while somebody else makes it, Lost when
        the disk is full or the host's apt has no lists.
    """
    sources = apt.cached_answer(
        root, f"sources-{spec.suite}", lambda: apt.debian_sources(spec.suite)
    )
    text = json.dumps([spec.suite, spec.packages, spec.size_mib, *sources])
    key = cache.key_of(_FORMAT, text, spec.setup)

    def make(folder: Path) -> None:
        progress(f"bootstrapping {spec.name} ({spec.suite}, {len(spec.packages)} packages)")
        _bootstrap(spec, sources, folder, progress)

    wanted = Artefact(
        folder=root / "images" / f"{spec.name}-{key}",
        what=f"image {spec.name}",
        lock_s=_LOCK_S,
        shared=shared,
    )
    folder = artefact.ensure(wanted, make, problem=_problem, progress=progress)
    return _image(spec.name, key, folder)


def make_overlay(base: Image, overlay: Path) -> None:
    """Create an empty qcow2 overlay on an image; the image itself is never written to.

    The overlay names the image relative to its own folder, so that a cache with overlays in it can
    be moved or copied.
    Raises: ImageError with qemu-img's message, Lost when the disk is full.
    """
    disk = os.path.relpath(base.disk.resolve(), overlay.parent.resolve())
    with cache.room(overlay.parent):
        # Without -F qemu-img refuses the backing file, since a guest could make a raw disk look
        # like another format.
        _qemu_img("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", disk, str(overlay))


def folder_disk(folder: Path, disk: Path) -> None:
    """Write an ext4 file, labelled harness-share, with a copy of a host folder.

    The folder is copied because the cloud kernels have no 9p, and virtiofs needs a daemon on the
    host. ext4 works with every kernel, and the guest cannot reach the host through the file.
    Raises: ImageError with the message of mke2fs, Lost when the disk is full.
    """
    size_mib = cache.size_bytes(folder) // 2**20 * 5 // 4 + _SHARE_SPARE_MIB
    with cache.room(disk.parent):
        _run(
            # The guest mounts it read-only, so it needs no journal.
            *("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-L", "harness-share"),
            *("-d", folder, disk, f"{size_mib}M"),
        )


def list_cached(root: Path) -> tuple[CachedItem, ...]:
    """Return everything that the cache contains, in the order of CACHE_FOLDERS.

    Images, kernels, sources, headers, build roots, symbols and snapshots are listed one by one.
    Each other folder of the cache is one item.
    """
    items = [
        _item(kind, folder)
        for kind in _OF_ITEMS
        for folder in sorted((root / kind).glob("[!.]*"))
        if folder.is_dir()
    ]
    folders = ((kind, root / kind) for kind in _WHOLE)
    items += [_item(kind, folder) for kind, folder in folders if folder.is_dir()]
    return tuple(items)


def _item(kind: str, folder: Path) -> CachedItem:
    name, _, key = folder.name.rpartition("-") if kind in _OF_ITEMS else (kind, "", "")
    return CachedItem(
        kind=kind,
        # A snapshot's folder is named by its key alone.
        name=name or kind.removesuffix("s"),
        key=key,
        size_bytes=cache.size_bytes(folder),
        last_used=folder.stat().st_mtime,
        folder=folder,
    )


def _image(name: str, key: str, folder: Path) -> Image:
    made = json.loads((folder / "image.json").read_text())["made"]
    return Image(
        name=name,
        key=f"{key}-{made}",
        disk=folder / "root.qcow2",
        ssh_key=folder / "id_ed25519",
        host_key=(folder / "host_key.pub").read_text().strip(),
    )


def _problem(folder: Path) -> str:
    """Return the reason why a cached image is unusable, or "".

    Only sizes and small files are checked, because every test run calls this function.
    """
    try:
        expected = json.loads((folder / "image.json").read_text())
        actual = (folder / "root.qcow2").stat().st_size
        _image("", "", folder)
    except (OSError, ValueError, KeyError) as error:
        return f"it is incomplete ({error})"
    if actual != expected["disk_bytes"]:
        return f"its disk has {actual} bytes, {expected['disk_bytes']} were written"
    return ""


def _bootstrap(spec: ImageSpec, sources: list[str], folder: Path, progress: Progress) -> None:
    for name in ("id_ed25519", "host_key"):
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "harness", "-f", folder / name)
    disk = folder / "root.qcow2"
    options = ["--format=null"]
    options += [f"--customize-hook={hook}" for hook in _hooks(spec, folder, disk)]
    bootstrap.run(
        Bootstrap(suite=spec.suite, packages=spec.packages, sources=tuple(sources)),
        options,
        target="/dev/null",
        log=folder / "bootstrap.log",
    )
    progress(f"made {disk.stat().st_size // 2**20} MiB")
    size = disk.stat().st_size
    # `made` is part of the key: a saved guest of an earlier image must not fit this one.
    facts = {"disk_bytes": size, "packages": list(spec.packages), "made": secrets.token_hex(4)}
    (folder / "image.json").write_text(json.dumps(facts, indent=1) + "\n")


def _hooks(spec: ImageSpec, folder: Path, disk: Path) -> tuple[str, ...]:
    """Return the hooks of mmdebstrap that turn a new root file system into an image's disk.

    They copy the keys and the set-up script in, run the script, make the disk, and copy it out to
    `disk`. Without root the shell hook runs as another uid that may not read the user's files, so
    mmdebstrap itself copies them in and out.
    """
    files = {
        folder / "id_ed25519.pub": "/root/harness-key.pub",
        folder / "host_key": "/etc/ssh/host_key",
        folder / "host_key.pub": "/etc/ssh/host_key.pub",
        spec.setup: "/setup.sh",
    }
    uploads = (f"upload {shlex.quote(str(file))} {target}" for file, target in files.items())
    make = _MAKE_DISK.format(size=spec.size_mib)
    return (*uploads, make, f"download /root.qcow2 {shlex.quote(str(disk))}")


# This script runs with the new root as $1, inside mmdebstrap's namespace, so that file owners are
# right without root. The bind mount hides what is mounted below the root.
_MAKE_DISK = """set -eu
PATH=$PATH:/usr/sbin:/sbin
chroot "$1" sh -eu /setup.sh
rm "$1/setup.sh"
mkdir -p "$1.bare"
mount --bind "$1" "$1.bare"
trap 'umount "$1.bare"; rmdir "$1.bare"; rm -f "$1.raw"' EXIT
mke2fs -q -t ext4 -O ^has_journal -L harness-root -d "$1.bare" "$1.raw" {size}M
qemu-img convert -q -f raw -O qcow2 "$1.raw" "$1/root.qcow2"
"""


def _qemu_img(*arguments: str) -> None:
    _run("qemu-img", *arguments)


def _run(*command: str | Path) -> None:
    folder = Path(command[-1]).parent
    within = tool.Surroundings(environment=tool.PLAIN_ENVIRONMENT, disk=folder)
    tool.run(command, deadline_s=_STEP_S, error=ImageError, within=within)


def disk_files(folder: Path, sizes_mib: Sequence[int]) -> tuple[Path, ...]:
    """Return the paths of the files, in a folder, for a guest's disks beyond its root disk."""
    return tuple(folder / f"disk{number}.raw" for number in range(len(sizes_mib)))


def make_empty_disks(folder: Path, sizes_mib: Sequence[int]) -> None:
    """Make files with the given sizes for a guest's disks beyond its root disk.

    They are sparse: they take no space until the guest writes. Existing files are replaced.
    """
    for file, size_mib in zip(disk_files(folder, sizes_mib), sizes_mib, strict=True):
        file.unlink(missing_ok=True)
        with file.open("wb") as disk:
            disk.truncate(size_mib * 1024 * 1024)
