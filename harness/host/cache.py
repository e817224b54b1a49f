# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A cache of files that are costly to make, each named by a key of everything it depends on.

A folder appears under its name only when it is complete, and is locked while it is made. Images,
kernels and other artefacts are kept here by `artefacts`, saved guests by `guest.snapshot`.
"""

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from harness import hints
from harness.errors import CacheBusy, Lost
from harness.host import file_lock

_CHUNK_BYTES = 1 << 20
_POLL_S = 0.2
_REPORT_EVERY_S = 15.0


def key_of(*parts: str | bytes | Path) -> str:
    """Return 16 hex digits that depend on all parts; a Path stands for its file's content."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        if isinstance(data, Path):
            data = _digest(data)
        # The length keeps ("ab", "c") and ("a", "bc") apart.
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()[:16]


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


@contextmanager
def lock(
    path: Path, *, what: str, deadline_s: float, progress: Callable[[str], None]
) -> Iterator[None]:
    """Take the lock of one item of the cache; report and wait while another process has it.

    Units: deadline_s is seconds of waiting.
    Raises: CacheBusy at the deadline, with the process that has the lock; Lost when the disk is
        full.
    """
    with room(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        # "a+" does not truncate: the file names the lock's holder until this process has the lock.
        file = path.open("a+")
    with file:
        end = time.monotonic() + deadline_s
        reported_at = -_REPORT_EVERY_S
        while not file_lock.try_lock(file):
            holder = path.read_text(errors="replace").strip() or "another process"
            if time.monotonic() > end:
                raise CacheBusy(
                    f"{what} is still held by {holder} after {deadline_s:.0f} s",
                    hint=f"wait for that process, or end it; the lock file is {path}",
                )
            if time.monotonic() - reported_at >= _REPORT_EVERY_S:
                progress(f"waiting for {what}: held by {holder}")
                reported_at = time.monotonic()
            time.sleep(_POLL_S)
        file.truncate(0)
        file.write(f"process {os.getpid()} ({what})\n")
        file.flush()
        yield


@contextmanager
def publish(final: Path) -> Iterator[Path]:
    """Make a temporary folder beside `final`, and rename it to `final` if the block succeeds.

    An earlier `final` is replaced; if the block or the renaming fails, it stays. Temporary folders
    of processes that have ended are removed first.
    Raises: Lost when the disk is full.
    """
    with room(final.parent):
        final.parent.mkdir(parents=True, exist_ok=True)
        _sweep(final)
        beside = final.with_name(f".{final.name}.{os.getpid()}.tmp")
        earlier = final.with_name(f".{final.name}.earlier.{os.getpid()}.tmp")
        beside.mkdir()
        try:
            yield beside
            _exchange(final, beside, earlier)
            shutil.rmtree(earlier, ignore_errors=True)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _exchange(final: Path, beside: Path, earlier: Path) -> None:
    """Put the folder `beside` in the place of `final`, and keep the old `final` as `earlier`.

    If the renaming fails, the old folder is at `final` again.
    """
    try:
        # A folder cannot be renamed to one that has content.
        if final.exists():
            final.rename(earlier)
        beside.rename(final)
    except BaseException:
        if earlier.exists() and not final.exists():
            earlier.rename(final)
        raise


def _sweep(final: Path) -> None:
    for stale in final.parent.glob(f".{final.name}.*.tmp"):
        owner = stale.name.split(".")[-2]
        # In a name PID.tmp..., the first part is the id of the process that made the folder.
        if not (owner.isdigit() and psutil.pid_exists(int(owner))):
            shutil.rmtree(stale, ignore_errors=True)


@contextmanager
def room(folder: Path) -> Iterator[None]:
    """Turn an error 'no space left on device' inside the block into Lost, which names `folder`."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise no_space(folder) from error


def no_space(folder: Path) -> Lost:
    """Return the error for a full disk, which says how much is free in a folder on it."""
    free = shutil.disk_usage(folder).free // 2**20 if folder.exists() else 0
    return Lost(
        f"the disk is full: {free} MiB are free in {folder}",
        hint=f"free some space, run `{hints.command('clean', '--all')}`, "
        "or set HARNESS_CACHE to a folder on a larger disk",
    )


def forget_unused(folder: Path, *, older_than_s: float = 14 * 86400.0) -> None:
    """Remove the items in a folder of the cache that nobody has used for `older_than_s` seconds.

    An item is a finished folder. Its modification time is the time of its last use.
    """
    # Names with a dot are locks, and folders that are being made.
    for item in folder.glob("[!.]*"):
        if item.is_dir() and time.time() - item.stat().st_mtime > older_than_s:
            shutil.rmtree(item, ignore_errors=True)


def size_bytes(folder: Path) -> int:
    """Return the disk space that a folder takes; holes in sparse files do not count."""
    files = (item for item in folder.rglob("*") if item.is_file() and not item.is_symlink())
    # st_blocks counts units of 512 bytes on every file system: stat(2).
    return sum(item.stat().st_blocks * 512 for item in files)
