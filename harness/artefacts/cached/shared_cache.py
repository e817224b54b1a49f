# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A cache that several hosts share: a folder that each of them mounts, over NFS for example.

An entry is one archive, MACHINE/KIND/NAME.SHA256.tar. NAME is a hash of everything that the
artefact is made from, and SHA256 is the hash of the archive. An archive with another hash is
damaged: it is not unpacked, and is removed. So nothing needs a lock: two hosts that make the same
artefact leave two entries, and either will do.

A file server that does not answer blocks each system call on its files. So this process never
touches the folder: programs do, which are killed at a deadline. Without the shared cache a run
goes on and makes the artefact itself.
"""

import hashlib
import os
import platform
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import Lost
from harness.host import cache, tool

Progress = Callable[[str], None]

# A server that answers at all lists a folder within this time.
_ANSWER_S = 10.0
# An artefact that arrives more slowly is sooner made here.
_SLOWEST_BYTES_S = 5 << 20
_ARCHIVE_S = 600.0
_ARCHIVE = ".archive.tar"
_ENTRY = re.compile(r"(\d+) ((.+)\.([0-9a-f]{64})\.tar)")
_WRONG_HASH = "its content does not have the hash in its name"
# The exit status of a script that may only read.
_READ_ONLY = 3
# The scripts get paths as their arguments. Days count in whole ones: -mtime +13 is two weeks.
_FIND = 'find "$2" -maxdepth 1 -ignore_readdir_race'
_LISTING = f'{_FIND} -name "*.tar" -printf "%s %f\\n"'
_LIST = f'cd -- "$1"; [ ! -d "$2" ] || {_LISTING}'
_LIST_TO_GIVE = f"""
cd -- "$1"
[ -w . ] || exit {_READ_ONLY}
mkdir -p -- "$2"
{_FIND} "(" -name "*.tar" -mtime +13 -o -name ".*.tmp" -mtime +0 ")" -delete
{_LISTING}
"""
# The time of an entry is that of its last use; where it may only be read, others keep it young.
_TAKE = 'cp -- "$1" "$2"; touch -c -- "$1" 2> /dev/null || true'
_REMOVE = 'rm -f -- "$1"'
_PACK = 'tar -c --sparse -f "$2" -C "$1" .'
# The files must belong to this user, with the permissions that they had.
_UNPACK = 'mkdir -- "$2"; tar -x -p --no-same-owner -f "$1" -C "$2"'
_GIVE = 'if cp -- "$1" "$2" && mv -f -- "$2" "$3"; then exit 0; fi; rm -f -- "$2"; exit 1'


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """The place of one artefact in a shared cache, for hosts with the processor of this one."""

    shared: Path
    kind: str
    name: str

    @property
    def folder(self) -> Path:
        """The folder, in the shared cache, of all entries of this kind, such as images."""
        return self.shared / platform.machine() / self.kind


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """An archive in the shared cache, and the hash that its content must have."""

    file: Path
    size_bytes: int
    digest: str


def take(shelf: Shelf, final: Path, *, problem: Callable[[Path], str], progress: Progress) -> bool:
    """Unpack an artefact from the shared cache to the folder `final`; return whether that worked.

    `problem` returns the reason why a folder is no whole artefact, or "". A damaged entry is
    reported and removed. The result is False when there is no whole entry, or none can be taken,
    which is reported. `final` is made or replaced only if the result is True.
    Raises: Lost when this host's disk is full.
    """
    for entry in _entries(_LIST, shelf, progress) or ():
        with _scratch(final) as place:
            archive, content = place / _ARCHIVE, place / "content"
            failure = _run(_TAKE, entry.file, archive, deadline_s=_copy_s(entry.size_bytes))
            right = not failure and _digest(archive) == entry.digest
            if right:
                failure = _run(_UNPACK, archive, content, deadline_s=_ARCHIVE_S)
            if failure:
                progress(f"{entry.file} cannot be taken from the shared cache: {failure}")
                return False
            damage = problem(content) if right else _WRONG_HASH
            if not damage:
                with cache.publish(final) as beside:
                    content.rename(beside)
                progress(f"took {shelf.name} ({entry.size_bytes >> 20} MiB) from the shared cache")
                return True
        kept = _run(_REMOVE, entry.file, deadline_s=_ANSWER_S)
        ending = f"cannot be removed: {kept}" if kept else "is removed"
        progress(f"{entry.file} is damaged ({damage}); it is not used, and {ending}")
    return False


def give(shelf: Shelf, folder: Path, *, progress: Progress) -> None:
    """Put an artefact of this host into the shared cache.

    Nothing is done when the shared cache already has this artefact, cannot be reached, or may only
    be read. Entries of the same kind that no host has used for two weeks are removed. A failure is
    reported and changes nothing: the artefact stays usable on this host.
    """
    known = _entries(_LIST_TO_GIVE, shelf, progress)
    if known is None or known:
        return
    try:
        with _scratch(folder) as place:
            failure = _give(shelf, folder, place / _ARCHIVE)
    except OSError as error:
        failure = str(error)
    if failure:
        progress(f"{shelf.name} is not put into the shared cache: {failure}")


def _give(shelf: Shelf, folder: Path, archive: Path) -> str:
    """Put an archive of a folder into the shared cache; return why that failed, or ""."""
    failure = _run(_PACK, folder, archive, deadline_s=_ARCHIVE_S)
    if failure:
        return failure
    final = shelf.folder / f"{shelf.name}.{_digest(archive)}.tar"
    beside = final.with_name(f".{shelf.name}.{secrets.token_hex(8)}.tmp")
    return _run(_GIVE, archive, beside, final, deadline_s=_copy_s(archive.stat().st_size))


@contextmanager
def _scratch(final: Path) -> Iterator[Path]:
    """Give a temporary folder beside `final`, which `cache.publish` sweeps if it is left over."""
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=final.parent,
        prefix=f".{final.name}.",
        suffix=f".{os.getpid()}.tmp",
        # An ordinary user cannot empty a closed folder of a build root.
        ignore_cleanup_errors=True,
    ) as place:
        yield Path(place)


def _entries(script: str, shelf: Shelf, progress: Progress) -> tuple[_Entry, ...] | None:
    """Return the entries of an artefact, in the order of their names, as a script lists them.

    The result is None when the script fails or the shared cache does not answer, which is
    reported. It is also None, without a report, when the script would write and the cache may only
    be read.
    """
    words = (shelf.shared, shelf.folder)
    done = _execute(script, *words, deadline_s=_ANSWER_S)
    if done.status == 0:
        return tuple(sorted(_matching(shelf, done.text), key=lambda one: one.file))
    if done.status != _READ_ONLY:
        progress(f"the shared cache {shelf.shared} is not used: {_failure(done, _ANSWER_S)}")
    return None


def _matching(shelf: Shelf, listed: str) -> Iterator[_Entry]:
    for line in listed.splitlines():
        match = _ENTRY.fullmatch(line)
        if match is not None and match[3] == shelf.name:
            file = shelf.folder / match[2]
            yield _Entry(file=file, size_bytes=int(match[1]), digest=match[4])


def _run(script: str, *words: Path, deadline_s: float) -> str:
    """Run a script and return the reason of its failure, or ""."""
    return _failure(_execute(script, *words, deadline_s=deadline_s), deadline_s)


def _execute(script: str, *words: Path, deadline_s: float) -> tool.Output:
    command: list[str | Path] = ["sh", "-eu", "-c", script, "sh", *words]
    within = tool.Surroundings(environment=tool.PLAIN_ENVIRONMENT)
    return tool.run(command, deadline_s=deadline_s, error=Lost, check=False, within=within)


def _failure(done: tool.Output, deadline_s: float) -> str:
    if done.status is None:
        return f"no answer within {deadline_s:.0f} s"
    return "" if done.status == 0 else (done.lines or (f"exit code {done.status}",))[-1]


def _copy_s(size_bytes: int) -> float:
    return _ANSWER_S + size_bytes / _SLOWEST_BYTES_S


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
