# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Dump a crashed guest's memory to a compressed file, remove dumps beyond a limit, unpack one.

The caller passes the function that dumps, such as a libvirt domain's core_dump. `inspect` reads
the content of a dump.
"""

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import zstandard

from harness.errors import HarnessError, HypervisorError, Lost
from harness.host import whole_file
from harness.model.crash import CRASHES, RAW_VMCORE, VMCORE, Crash
from harness.model.limits import VmcoreLimits

NAME = VMCORE
# This file in a crash's folder gives the reason when there is no dump.
REASON = "vmcore.txt"
# zstd's default level.
_LEVEL = 3
_CHUNK_BYTES = 1 << 20
_MIB = 1 << 20
# The header of a zstd frame that includes the content size; RFC 8878, 3.1.1.1.
_HEADER_BYTES = 18
# A compressed dump has at most a fifth of the memory's size. For a moment both files are on the
# disk.
_COMPRESSED_PART = 0.25
# This space is left free on the disk, so that other programs keep working.
_SPARE_BYTES = 256 * _MIB


@dataclass(frozen=True, kw_only=True)
class Vmcore:
    """A memory dump that was made and compressed: its file, sizes and seconds.

    `removed` are older dumps that were removed because of the limits.
    """

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
    """Dump a guest's memory with `dump`, and compress it into a crash's folder.

    `runs` is the folder of all runs, and `keep` limits the dumps in it: older dumps beyond the
    limits are removed, and their folders record that. After a failure no part of a dump is left.
    The harness's own errors are also written to vmcore.txt, unless the disk is full.
    Units: expected_bytes is the size of the guest's memory.
    Raises: Lost when the disk has no room, before or while the dump is written; any error of
        `dump`, such as HypervisorError.
    """
    raw, file = folder / RAW_VMCORE, folder / NAME
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
    """Unpack a compressed memory dump to the ELF core `to`, and return `to`.

    Raises: Lost when the disk is full or the file is damaged; then nothing is left at `to`.
    """
    try:
        with _complete_or_nothing(folder=to.parent) as unfinished:
            unfinished.append(to)
            with file.open("rb") as source, to.open("wb") as target:
                content_bytes = zstandard.frame_content_size(source.read(_HEADER_BYTES))
                source.seek(0)
                size = _write_sparse(zstandard.ZstdDecompressor().stream_reader(source), target)
            if size != content_bytes:
                raise Lost(f"{file} is damaged: it ends after {size} of {content_bytes} bytes")
            unfinished.clear()
    except zstandard.ZstdError as error:
        raise Lost(f"{file} is damaged: {error}") from error
    return to


def limit(runs: Path, keep: VmcoreLimits, *, newest: Path) -> tuple[Path, ...]:
    """Remove the oldest memory dumps of all runs beyond the limits, and return their paths.

    `newest`, the dump that was just made, is never removed. The dumps are counted from the newest
    to the oldest. A dump that would exceed the limits is removed and no longer counted, and
    vmcore.txt in its folder gives the reason.
    """
    found = []
    for file in runs.glob(f"*/{CRASHES}/*/{NAME}"):
        try:
            about = file.stat()
        except FileNotFoundError:
            # Another run has removed the dump meanwhile.
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
            f"removed for a newer dump: at most {keep.keep} dumps of "
            f"{keep.total_mib} MiB in all are kept\n"
            "[tool.harness.vmcores] sets keep and total_mib",
        )
        count, total = count - 1, total - size
        removed.append(file)
    return tuple(removed)


def why_missing(folder: Path) -> str:
    """Return the recorded reason why a crash's folder has no dump, or "" when none is recorded."""
    file = folder / REASON
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def present(crash: Crash, folder: Path) -> Crash:
    """Return a crash; if its dump was removed from disk, return it without, and with the reason.

    `folder` is the crash's folder. The reason is in `vmcore_note`.
    """
    if not crash.vmcore or (folder / crash.vmcore).is_file():
        return crash
    why = why_missing(folder).partition("\n")[0] or "the file is gone"
    return replace(crash, vmcore="", vmcore_note=f"none: {why}")


def _check_room(folder: Path, expected_bytes: int) -> None:
    need = int(expected_bytes * (1 + _COMPRESSED_PART)) + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < need:
        raise Lost(
            f"no dump of the guest's memory: it needs {need // _MIB} MiB for a moment, but only "
            f"{free // _MIB} MiB are free in {folder}",
            hint="free some space, or lower [tool.harness.vmcores]; the report itself is complete",
        )


def _compress(raw: Path, target: Path) -> None:
    # Compress with as many threads as there are cores.
    packer = zstandard.ZstdCompressor(level=_LEVEL, threads=-1, write_checksum=True)
    with raw.open("rb") as source, target.open("wb") as sink:
        # With the size in the frame's header, `restore` notices a dump that was cut.
        packer.copy_stream(source, sink, size=raw.stat().st_size)


def _write_sparse(source: zstandard.ZstdDecompressionReader, target: BinaryIO) -> int:
    """Copy a dump from `source` to `target` with holes instead of zeros; return its size in bytes.

    Zeros fill most of a small guest's memory.
    """
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
    """Give a `with` block a list of temporary files, and remove these files after the block.

    The list begins with `parts`. A file that the block takes out of the list, because it is
    complete, is kept.
    Raises: Lost when the disk of `folder` became full during the block.
    """
    unfinished = list(parts)
    try:
        yield unfinished
    except (OSError, HypervisorError) as error:
        if not _says_full(error):
            raise
        raise Lost(
            f"no dump of the guest's memory: the disk became full while it was written ({folder})",
            hint="free some space; the report itself is complete",
        ) from error
    finally:
        for part in unfinished:
            part.unlink(missing_ok=True)


def _write_reason(folder: Path, text: str) -> None:
    """Write into vmcore.txt of a crash's folder why it has no dump; do nothing on a full disk."""
    try:
        (folder / REASON).write_text(text.strip() + "\n", encoding="utf-8")
    except OSError as error:
        if not _says_full(error):
            raise


def _says_full(error: Exception) -> bool:
    """Return whether an error means a full disk, an exhausted quota or a file that is too large.

    An OSError shows it by its number, an error of libvirt by QEMU's message.
    """
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    return os.strerror(errno.ENOSPC) in str(error)
