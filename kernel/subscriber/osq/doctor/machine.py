# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The machine that `osq doctor` looks at: this one, or a folder that stands for one in a test."""

import ctypes
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

# adjtimex(2): struct timex with padding, and the answer for a clock that nothing sets.
_TIMEX_BYTES = 208
_TIME_ERROR = 5


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process: its pid, its name as in /proc/PID/comm, and its folder below /proc."""

    pid: int
    name: str
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where the checks of `osq doctor` look: files below `root`, the kernel's release, the clock.

    Units: now_s is seconds since the epoch.
    is_synchronised: whether something sets the clock, such as NTP; None when that is not known.
    """

    root: Path
    release: str
    now_s: int
    is_synchronised: bool | None

    @classmethod
    def this(cls) -> Self:
        """Return the machine on which this program runs, for `osq doctor` to examine."""
        return cls(
            root=Path("/"),
            release=platform.release(),
            now_s=int(time.time()),
            is_synchronised=_is_synchronised(),
        )

    def at(self, path: Path | str) -> Path:
        """Return a path of the examined machine as this program reaches it, below `root`."""
        return self.root / Path(path).relative_to("/")

    def text(self, path: str) -> str:
        """Return the content of a file of the examined machine, "" when it cannot be read."""
        try:
            return self.at(path).read_text(errors="replace")
        except OSError:
            return ""

    def processes(self) -> Iterator[Process]:
        """Yield every process that runs on the examined machine."""
        for folder in self.at("/proc").iterdir():
            if folder.name.isdigit():
                name = self.text(f"/proc/{folder.name}/comm").strip()
                yield Process(pid=int(folder.name), name=name, folder=folder)

    def holders(self, path: Path) -> list[Process]:
        """Return the processes of the examined machine that have a file open.

        Only root sees the open files of other users' processes.
        """
        return [one for one in self.processes() if _has_open(one, path)]


def _has_open(process: Process, path: Path) -> bool:
    try:
        entries = list((process.folder / "fd").iterdir())
    except OSError:
        return False
    return any(_target(entry) == path for entry in entries)


def _target(link: Path) -> Path | None:
    try:
        return link.readlink()
    except OSError:
        return None


def _is_synchronised() -> bool | None:
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        state = ctypes.CDLL(None).adjtimex(timex)
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR
