# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A crashed guest's memory as a file: dumped, compressed, limited in number and size, restored.

How the memory is dumped is the caller's (a libvirt domain's core_dump); what it holds is told by
`memory_view`.
"""

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard

from harness.errors import HarnessError, HypervisorError, Lost
from harness.host import whole_file
from harness.model.limits import VmcoreLimits

NAME = "vmcore.zst"
# Stands in a crash's folder instead of the dump: why there is none.
REASON = "vmcore.txt"
_RAW = "vmcore.raw"
_LEVEL = 3
_CHUNK_BYTES = 1 << 20
_MIB = 1 << 20
# Of a zstd frame, content size included; RFC 8878, 3.1.1.1.
_HEADER_BYTES = 18
# A compressed dump is a fifth of the memory, often less; both lie on the disk for a moment.
_COMPRESSED_PART = 0.25
# A disk that is filled to the last byte breaks what else runs there.
_SPARE_BYTES = 256 * _MIB


@dataclass(frozen=True, kw_only=True)
class Vmcore:
    """One compressed dump: its sizes, how long it took, and which old ones were removed for it."""

    file: Path
    memory_bytes: int
    size_bytes: int
    dump_s: float
    compress_s: float
    removed: tuple[Path, ...] = ()


def take(
    dump: Callable[[Path], None],
    folder: Path,
    *,
    runs: Path,
    keep: VmcoreLimits,
    expected_bytes: int,
) -> Vmcore:
    """Return a guest's memory, dumped by `dump` and compressed into a crash's folder.

    `runs` holds all runs of the project, which `keep` limits: the oldest dumps are removed, and
    their folders say so. Whatever fails, no part of a dump stays, and vmcore.txt has the reason.
    Units: expected_bytes is the guest's memory.
    Raises: Lost when the disk has no room, before or while it is written; HypervisorError as
        `dump` does.
    """
    raw, file = folder / _RAW, folder / NAME
    begun = time.monotonic()
    try:
        with (
            _complete_or_nothing(raw, folder=folder),
            whole_file.replacing(file) as beside,
        ):
            _check_room(folder, expected_bytes)
            dump(raw)
            dumped = time.monotonic()
            memory_bytes = raw.stat().st_size
            _compress(raw, beside)
    except HarnessError as error:
        _write_reason(folder, f"{error.message}\n{error.hint}")
        raise
    (folder / REASON).unlink(missing_ok=True)
    done = time.monotonic()
    return Vmcore(
        file=file,
        memory_bytes=memory_bytes,
        size_bytes=file.stat().st_size,
        dump_s=dumped - begun,
        compress_s=done - dumped,
        removed=limit(runs, keep, newest=file),
    )


def restore(file: Path, to: Path) -> Path:
    """Return the dump as the ELF core that it was, at `to`.

    Raises: Lost when the disk is full or the file is damaged; then nothing is left at `to`.
    """
    try:
        with _complete_or_nothing(folder=to.parent) as unfinished:
            unfinished.append(to)
            with file.open("rb") as source, to.open("wb") as target:
                said = zstandard.frame_content_size(source.read(_HEADER_BYTES))
                source.seek(0)
                size = _write_sparse(zstandard.ZstdDecompressor().stream_reader(source), target)
            if size != said:
                raise Lost(f"{file} is damaged: it ends after {size} of {said} bytes")
            unfinished.clear()
    except zstandard.ZstdError as error:
        raise Lost(f"{file} is damaged: {error}") from error
    return to


def limit(runs: Path, keep: VmcoreLimits, *, newest: Path) -> tuple[Path, ...]:
    """Remove the oldest dumps of all runs beyond the limits, and return which; `newest` stays."""
    found = []
    for file in runs.glob(f"*/crashes/*/{NAME}"):
        try:
            about = file.stat()
        except FileNotFoundError:
            continue
        found.append((about.st_mtime_ns, about.st_size, file))
    removed = []
    count, total = 0, 0
    for _, size, file in sorted(found, key=lambda one: one[0], reverse=True):
        count, total = count + 1, total + size
        if file == newest or (count <= keep.keep and total <= keep.total_mib * _MIB):
            continue
        file.unlink(missing_ok=True)
        _write_reason(
            file.parent,
            f"removed for a newer one: {keep.keep} dumps, {keep.total_mib} MiB in all are kept\n"
            "[tool.harness.vmcores] sets keep and total_mib",
        )
        count, total = count - 1, total - size
        removed.append(file)
    return tuple(removed)


def why_missing(folder: Path) -> str:
    """Return why a crash's folder has no dump, as it was recorded; "" when nothing was."""
    file = folder / REASON
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def _check_room(folder: Path, expected_bytes: int) -> None:
    need = int(expected_bytes * (1 + _COMPRESSED_PART)) + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < need:
        raise Lost(
            f"no dump of the guest's memory: it takes {need // _MIB} MiB for a moment, "
            f"{free // _MIB} MiB are free in {folder}",
            hint="free some space, or lower [tool.harness.vmcores]; the report is complete else",
        )


def _compress(raw: Path, target: Path) -> None:
    # -1: as many threads as there are cores.
    packer = zstandard.ZstdCompressor(level=_LEVEL, threads=-1, write_checksum=True)
    with raw.open("rb") as source, target.open("wb") as sink:
        packer.copy_stream(source, sink, size=raw.stat().st_size)


def _write_sparse(source: zstandard.ZstdDecompressionReader, target: BinaryIO) -> int:
    """Write with holes for what is zero, most of a small guest's memory; return the size."""
    size = 0
    while chunk := source.read(_CHUNK_BYTES):
        size += len(chunk)
        if chunk.count(0) == len(chunk):
            target.seek(len(chunk), os.SEEK_CUR)
        else:
            target.write(chunk)
    target.truncate(size)
    return size


@contextmanager
def _complete_or_nothing(*parts: Path, folder: Path) -> Iterator[list[Path]]:
    """Remove parts at the end, however it comes; say of a full disk that it is full."""
    unfinished = list(parts)
    try:
        yield unfinished
    except (OSError, HypervisorError) as error:
        if not _says_full(error):
            raise
        raise Lost(
            f"no dump of the guest's memory: the disk became full while it was written ({folder})",
            hint="free some space; the report is complete else",
        ) from error
    finally:
        for part in unfinished:
            part.unlink(missing_ok=True)


def _write_reason(folder: Path, text: str) -> None:
    """Leave the reason where the dump would be; on a full disk even that may fail."""
    try:
        (folder / REASON).write_text(text.strip() + "\n", encoding="utf-8")
    except OSError as error:
        if not _says_full(error):
            raise


def _says_full(error: Exception) -> bool:
    """Return whether the disk was full for us, or for QEMU, which has only words for it."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    return os.strerror(errno.ENOSPC) in str(error)
