# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The record of each guest on this host: one short folder for each run, with a lock.

A run holds the lock of its folder while its process lives. The kernel releases the lock when the
process ends in any way. So an unlocked folder belongs to a guest that was kept on purpose, or to a
run that was killed; the record in the folder says which. `cleanup` removes such folders.

A debugger takes a second lock. It stops the guest, which then prints nothing, so code that waits
for the guest must keep waiting while this lock is taken.
"""

import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness import hints
from harness.errors import UsageError
from harness.host import file_lock, whole_file
from harness.model.settings import Endpoint

_RECORD = "life.json"
# The name of a file in a run's overlay folder with the path of the run's entry. It is needed
# because users with several runtime folders may share one cache.
_HOME = "entry"
_LOCK = "lock"
_DEBUGGER_LOCK = "debugger.lock"
# A process that only checks whether a folder is locked takes the lock for a moment.
_LOCK_S = 10.0


@dataclass(frozen=True, kw_only=True)
class GuestEntry:
    """The record of one guest: how to reach the guest, and where its files are.

    `folder` has a short path, because sockets are in it. `disk` is the folder of the overlay; both
    are removed with the guest. `run` is the folder of the logs, which stay. `uri` is what libvirt
    clients connect to. `private` means that the daemon belongs to the run. `pid` is the process of
    the run, and `port` the loopback port that leads to the guest's SSH. `vcpus` and `memory_mib`
    are what the guest may take of this host.
    """

    run_id: str
    folder: Path
    disk: Path
    run: Path
    pid: int
    target: str
    domain: str = ""
    uri: str = ""
    private: bool = True
    port: int = 0
    key_file: Path = Path()
    host_key: str = ""
    kept: bool = False
    started_at: float = 0.0
    vcpus: int = 0
    memory_mib: int = 0

    @property
    def qmp_socket(self) -> Path:
        """The socket of QEMU's second monitor, which libvirt does not use."""
        return self.folder / "qmp"

    def write(self) -> None:
        """Write this record into its folder, atomically."""
        text = json.dumps(asdict(self), default=str, indent=1)
        whole_file.write(self.folder / _RECORD, f"{text}\n")

    @property
    def endpoint(self) -> Endpoint:
        """The address and keys for reaching the guest over SSH."""
        return Endpoint.of_guest(port=self.port, key_file=self.key_file, host_key=self.host_key)


def new_run_id() -> str:
    """Return a new unique id that sorts by time: YYYYMMDD-HHMMSS-xxxx."""
    # The random part separates runs that start in the same second.
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


@contextmanager
def claim(entry: GuestEntry) -> Iterator[GuestEntry]:
    """Make and lock the entry of a run's guest, and make the folder of its overlay.

    Both are removed after the block unless the guest is kept.
    Raises: UsageError when a guest with this run id exists, maybe one of another project.
    """
    _make_folders(entry)
    with (entry.folder / _LOCK).open("w") as lock:
        file_lock.lock(lock, deadline_s=_LOCK_S)
        started = replace(entry, started_at=time.time())
        started.write()
        try:
            yield started
        finally:
            # The session replaces the record when it keeps its guest.
            current = read(entry.folder)
            if current is None or not current.kept:
                remove(started)


@contextmanager
def hold_folder(runtime: Path, prefix: str) -> Iterator[Path]:
    """Make a folder for sockets that only this user can enter; remove it after the block.

    Its name begins with `prefix`, and its path is short.
    The folder is locked like a run's entry, so that `broken_folders` finds it if the process is
    killed.
    """
    runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=runtime))
    try:
        with (folder / _LOCK).open("w") as lock:
            file_lock.lock(lock, deadline_s=_LOCK_S)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def hold_for_debugger(folder: Path) -> Iterator[None]:
    """Take the lock for debuggers on a run's guest for the duration of the block.

    Raises: UsageError that names the process of another debugger which has the lock.
    """
    file = folder / _DEBUGGER_LOCK
    # "a+" does not truncate: the file names the holder until this process has the lock.
    with file.open("a+") as lock:
        if not file_lock.try_lock(lock):
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise UsageError(
                f"the guest of run {folder.name} is already held by a debugger, process {holder}",
                hint="quit that debugger first",
            )
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def has_debugger(folder: Path) -> bool:
    """Return whether a debugger is attached to the guest of a run now."""
    return file_lock.is_locked(folder / _DEBUGGER_LOCK)


def _make_folders(entry: GuestEntry) -> None:
    """Make the folders of a run: that of its record, and that of its guest's overlay disk.

    The second contains a file with the path of the first.
    Raises: UsageError when one of them exists already.
    """
    entry.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    entry.disk.parent.mkdir(parents=True, exist_ok=True)
    try:
        entry.folder.mkdir(mode=0o700)
        try:
            entry.disk.mkdir()
        except OSError:
            # A run of another runtime folder may have this run id; its overlay must stay.
            entry.folder.rmdir()
            raise
    except FileExistsError as error:
        raise UsageError(
            f"a guest of run {entry.run_id} is there already",
            hint=f"another --run-id is needed, or {hints.command('guest-stop', entry.run_id)}",
        ) from error
    (entry.disk / _HOME).write_text(f"{entry.folder}\n")


def is_orphan(disk: Path, *, older_than_s: float) -> bool:
    """Return whether the folder of an overlay belongs to no run in any runtime folder.

    A folder that does not name its run counts only if it is older than `older_than_s` seconds.
    """
    try:
        home = (disk / _HOME).read_text().strip()
    except OSError:
        return disk.is_dir() and time.time() - disk.stat().st_mtime > older_than_s
    return not Path(home).is_dir()


def read(folder: Path) -> GuestEntry | None:
    """Return the record of a guest from its folder, or None when there is no readable record."""
    try:
        data: dict[str, Any] = json.loads((folder / _RECORD).read_text())
        paths = {key: Path(data[key]) for key in ("folder", "disk", "run", "key_file")}
        return GuestEntry(**{**data, **paths})
    except (OSError, ValueError, TypeError, KeyError):
        # TypeError and KeyError: a record of another version of the harness has other fields.
        return None


def list_entries(runtime: Path) -> tuple[GuestEntry, ...]:
    """Return every guest with a record, in the order of their run ids.

    The oldest comes first, except for runs that got their ids from the user.
    """
    if not runtime.is_dir():
        return ()
    records = (read(folder) for folder in sorted(runtime.iterdir()) if folder.is_dir())
    return tuple(entry for entry in records if entry is not None)


def broken_folders(runtime: Path, *, older_than_s: float) -> tuple[Path, ...]:
    """Return the folders of runs that have no readable record and whose process has ended.

    Only folders older than `older_than_s` seconds are returned.
    """
    if not runtime.is_dir():
        return ()
    now = time.time()
    return tuple(
        folder
        for folder in sorted(runtime.iterdir())
        if folder.is_dir()
        and read(folder) is None
        and now - folder.stat().st_mtime > older_than_s
        and not is_owned(folder)
    )


def is_owned(folder: Path) -> bool:
    """Return whether the process of the run whose record is in this folder is still alive."""
    return file_lock.is_locked(folder / _LOCK)


def remove(entry: GuestEntry) -> None:
    """Delete the overlay disk of a run's guest and the run's record, as far as they exist."""
    shutil.rmtree(entry.disk, ignore_errors=True)
    shutil.rmtree(entry.folder, ignore_errors=True)
