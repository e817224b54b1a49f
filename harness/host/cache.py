# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Files that are costly to make: named by what went in, published whole, locked while made.

It knows nothing of what the files are; `image`, `kernels` and `session` do.
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

from harness.errors import CacheBusy, Lost
from harness.host import file_lock

_CHUNK_BYTES = 1 << 20
_POLL_S = 0.2
_SAY_EVERY_S = 15.0


def key_of(*parts: str | bytes | Path) -> str:
    """Return 16 hex digits over all parts; a Path stands for the content of its file."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        if isinstance(data, Path):
            data = _digest(data)
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
    """Hold the lock of one thing; while somebody else holds it, say who.

    Units: deadline_s is seconds of waiting.
    Raises: CacheBusy at the deadline, with the holder; Lost when the disk is full.
    """
    with room(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    with file:
        end = time.monotonic() + deadline_s
        said_at = -_SAY_EVERY_S
        while not file_lock.try_lock(file):
            holder = path.read_text(errors="replace").strip() or "another process"
            if time.monotonic() > end:
                raise CacheBusy(
                    f"{what} is still held by {holder} after {deadline_s:.0f} s",
                    hint=f"wait for it, or end it; the lock is {path}",
                )
            if time.monotonic() - said_at >= _SAY_EVERY_S:
                progress(f"waiting for {what}: held by {holder}")
                said_at = time.monotonic()
            time.sleep(_POLL_S)
        file.truncate(0)
        file.write(f"process {os.getpid()} ({what})\n")
        file.flush()
        yield


@contextmanager
def publish(final: Path) -> Iterator[Path]:
    """Give a folder beside `final`; it becomes `final` when the block ends without an error.

    Whatever ends the block otherwise, the final name never shows something half made. What
    processes that are gone left beside it is removed first.
    """
    with room(final.parent):
        final.parent.mkdir(parents=True, exist_ok=True)
        _sweep(final)
        beside = final.with_name(f".{final.name}.{os.getpid()}.tmp")
        beside.mkdir()
        try:
            yield beside
            if final.exists():
                shutil.rmtree(final)
            beside.rename(final)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _sweep(final: Path) -> None:
    for stale in final.parent.glob(f".{final.name}.*.tmp"):
        owner = stale.name.split(".")[-2]
        if not (owner.isdigit() and psutil.pid_exists(int(owner))):
            shutil.rmtree(stale, ignore_errors=True)


@contextmanager
def room(folder: Path) -> Iterator[None]:
    """Turn 'no space left' inside the block into a Lost that names the folder."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise no_space(folder) from error


def no_space(folder: Path) -> Lost:
    """Return the error for a full disk below `folder`."""
    free = shutil.disk_usage(folder).free // 2**20 if folder.exists() else 0
    return Lost(
        f"the disk is full: {free} MiB are free in {folder}",
        hint="free some space, `invoke clean --all`, or set HARNESS_CACHE to a larger disk",
    )


def forget_unused(folder: Path, *, older_than_s: float = 14 * 86400.0) -> None:
    """Remove what nobody has used for a fortnight: each ready folder's time is its last use."""
    for item in folder.glob("[!.]*"):
        if item.is_dir() and time.time() - item.stat().st_mtime > older_than_s:
            shutil.rmtree(item, ignore_errors=True)


def size_bytes(folder: Path) -> int:
    """Return the disk space that a folder takes, holes not counted."""
    files = (item for item in folder.rglob("*") if item.is_file() and not item.is_symlink())
    return sum(item.stat().st_blocks * 512 for item in files)
