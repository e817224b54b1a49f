# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find the logs that a command line names: files, standard input, and folders of crash logs.

pstore splits a log into parts, the last lines in the first (fs/pstore/platform.c); systemd keeps
them in /var/lib/systemd/pstore. kdump-tools and apport write to /var/crash.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError

# File names of logs in a folder of crashes; a vmcore is no log.
_LOG = re.compile(
    r"dmesg|console|kern\.log|messages|syslog|pmsg|\.(?:log|txt|panic|ips|crash)(?:\.\d+)?(?:\.(?:gz|xz|zst))?$"
)
_NO_LOG = re.compile(r"^vmcore(?!-dmesg)|\.(?:ko|debug|elf|img)$|^vmlinu|^dump\.")
_PART = re.compile(rb"^(?P<dump>[A-Z][a-z]+#\d+) Part(?P<part>\d+)\r?\n")
# Bounds the work for a folder that is not one of crashes, such as a whole /var/log.
_MOST_FILES = 1000


@dataclass(frozen=True, kw_only=True)
class Source:
    """One log: its name, and the files that contain it, the oldest lines first."""

    name: str
    files: tuple[Path, ...]


def sources(words: Sequence[str]) -> tuple[Source, ...]:
    """Return the logs that the arguments of a command line name.

    A folder is searched with the folders in it, and at most 1000 logs of it are returned. Any
    other argument is returned as a file, even if it does not exist.
    Raises: UsageError for a folder that contains no log or cannot be read.
    """
    return tuple(source for word in words for source in _of_word(Path(word)))


def _of_word(path: Path) -> Iterator[Source]:
    if not path.is_dir():
        yield Source(name=str(path), files=(path,))
        return
    try:
        within = sorted(one for one in path.rglob("*") if one.is_file() and _is_log(one.name))
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error}", hint="is it a folder of logs?"
        ) from error
    if not within:
        raise UsageError(
            f"{path} contains no log",
            hint="files like dmesg-*, console-*, *.log, *.txt, *.panic, *.ips",
        )
    yield from _put_together(within[:_MOST_FILES])


def _is_log(name: str) -> bool:
    return _LOG.search(name) is not None and _NO_LOG.search(name) is None


def _put_together(files: Sequence[Path]) -> Iterator[Source]:
    """Yield each file as a log of its own, but join the parts of one pstore dump."""
    dumps: dict[tuple[Path, str], list[tuple[int, Path]]] = {}
    for file in files:
        match = _PART.match(_beginning(file))
        if match is None:
            yield Source(name=str(file), files=(file,))
        else:
            dump = dumps.setdefault((file.parent, match["dump"].decode()), [])
            dump.append((int(match["part"]), file))
    for (folder, name), parts in dumps.items():
        oldest_first = tuple(file for _, file in sorted(parts, reverse=True))
        yield Source(name=str(folder / name), files=oldest_first)


def _beginning(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(80)
    except OSError:
        # An unreadable file is no error here; reading the log later reports it.
        return b""
