# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Have the driver watch the configured paths, and find those that it watches in vain.

The driver looks a path up as this process sees it, and then watches its place in that file system.
So a path that this process sees on another file system than the rest of the machine does would be
watched in vain, without an error. A sandbox does that, such as ProtectHome= of a systemd unit.
"""

import errno
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from osq.errors import DeviceError, RingInvalid
from osq.file_events import watch_actions
from osq.paths import Paths
from osq.ring import Ring
from osq.values import text

# The first process has the machine's view of its file systems.
HOST_ROOT = Path("/proc/1/root")
_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(rb"\\([0-7]{3})")
# File systems of the kernel's own, in which nobody keeps files.
_VIRTUAL = frozenset(
    {
        *(b"autofs", b"binfmt_misc", b"bpf", b"cgroup", b"cgroup2", b"configfs", b"debugfs"),
        *(
            b"devpts",
            b"efivarfs",
            b"fusectl",
            b"hugetlbfs",
            b"mqueue",
            b"nsfs",
            b"proc",
            b"pstore",
        ),
        *(b"securityfs", b"selinuxfs", b"sysfs", b"tracefs"),
    }
)
Identity = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A configured path that is not watched as the configuration means it, and why.

    misses_events: whether events may happen there without a record.
    """

    path: str
    reason: str
    misses_events: bool = True

    def __str__(self) -> str:
        """Return the fault as a line of the daemon's log."""
        # A mount point below the path may have bytes that are no text.
        return text(os.fsencode(f"file_paths: {self.path}: {self.reason}"))


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A mounted file system, unless it is of a kind such as proc, in which nobody keeps files.

    number: its mount id; folder: its mount point.
    """

    number: str
    folder: str


class Watches:
    """The driver's watches of the configured paths; leaving the block closes /proc/self/mountinfo.

    host_root: the folder below which the machine's first process sees its file systems.
    """

    def __init__(self, ring: Ring, paths: Paths, *, host_root: Path = HOST_ROOT) -> None:
        self._ring, self._paths, self._host_root = ring, paths, host_root
        self._relevant: frozenset[Mount] = frozenset()
        self._mounts = _MOUNTS.open("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._mounts.close()

    def fileno(self) -> int:
        """Return the file descriptor for poll; POLLPRI means that mounts have changed."""
        return self._mounts.fileno()

    def apply(self, *, compare: bool) -> list[Fault]:
        """Watch every configured path, and the file systems that are mounted below it.

        compare: whether to find paths that the machine's first process sees otherwise, which needs
        CAP_SYS_PTRACE. Return the faults. Raises: RingInvalid.
        """
        mounts = self._read_mounts()
        self._relevant = relevant(self._paths.watched, mounts)
        faults: list[Fault] = []
        for path, with_opens in self._paths.watched.items():
            actions = watch_actions(with_opens=with_opens)
            places = (path, *mounted_below(path, (one.folder for one in mounts)))
            candidates = [_watch(self._ring, place, actions) for place in places]
            if compare:
                candidates.append(fault_of(path, self._host_root))
            faults += filter(None, candidates)
        return faults

    def need_another_look(self) -> bool:
        """Return whether a mount at, above or below a watched path changed since `apply`."""
        return relevant(self._paths.watched, self._read_mounts()) != self._relevant

    def _read_mounts(self) -> tuple[Mount, ...]:
        self._mounts.seek(0)
        return tuple(mounts_in(self._mounts.read()))


def _watch(ring: Ring, path: str, actions: int) -> Fault | None:
    try:
        ring.watch(path, actions)
    except RingInvalid:
        raise
    except DeviceError as error:
        return Fault(path=path, reason=f"not watched: {error.message}")
    return None


def fault_of(path: str, host_root: Path) -> Fault | None:
    """Return what is wrong with a watch on this path, None if nothing is.

    It is wrong if this process sees another file there than the machine's first process does,
    below host_root, or if nothing is there yet.
    """
    real = os.path.realpath(path)
    try:
        own, hosts = _identity(Path(real)), _identity(host_root / real.lstrip("/"))
        folder = Path(real)
        while own is None and hosts is None and folder != folder.parent:
            folder = folder.parent
            own, hosts = _identity(folder), _identity(host_root / str(folder).lstrip("/"))
    except OSError as error:
        reason = f"cannot be compared with what the machine has there: {error.strerror}"
        return Fault(path=path, reason=reason)
    if own != hosts:
        reason = "hidden from this process, which sees something else there than the machine does"
        return Fault(path=path, reason=reason)
    if folder != Path(real):
        reason = f"does not exist: it is watched from its creation in {folder} on"
        return Fault(path=path, reason=reason, misses_events=False)
    return None


def _identity(path: Path) -> Identity | None:
    """Return the device and the inode of a file or folder; None if it does not exist."""
    try:
        status = path.stat()
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            return None
        raise
    return status.st_dev, status.st_ino


def mounts_in(mountinfo: bytes) -> Iterator[Mount]:
    """Yield the file systems in the text of /proc/self/mountinfo in which somebody may keep files.

    Source: proc(5), /proc/pid/mountinfo; octal escapes stand for blanks and backslashes.
    """
    # A user names his mount points with any bytes. The kernel escapes a newline, and no other end
    # of a line.
    for line in filter(None, mountinfo.split(b"\n")):
        fields, _, source = line.partition(b" - ")
        number, _, _, _, folder = fields.split(b" ")[:5]
        if source.split(b" ")[0] not in _VIRTUAL:
            name = _OCTAL.sub(lambda one: bytes([int(one[1], 8)]), folder)
            yield Mount(number=number.decode(), folder=os.fsdecode(name))


def mounted_below(path: str, folders: Iterable[str]) -> list[str]:
    """Return those mount points that lie below a path: each needs a watch of its own.

    They are named as the path was given, though it may contain symbolic links.
    """
    real = os.path.realpath(path).rstrip("/")
    base = path.rstrip("/")
    below = {base + folder[len(real) :] for folder in folders if folder.startswith(f"{real}/")}
    return sorted(below - {f"{base}/"})


def relevant(paths: Iterable[str], mounts: Iterable[Mount]) -> frozenset[Mount]:
    """Return the mounts at, above and below the given paths: their change needs new watches."""
    reals = [os.path.realpath(path).rstrip("/") + "/" for path in paths]

    def is_relevant(mount: Mount) -> bool:
        folder = mount.folder.rstrip("/") + "/"
        return any(real.startswith(folder) or folder.startswith(real) for real in reals)

    return frozenset(filter(is_relevant, mounts))
