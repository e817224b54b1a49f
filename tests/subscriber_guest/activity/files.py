# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Steps of files in a watched folder: made, written, renamed, linked, changed and removed."""

import os
from collections.abc import Callable
from pathlib import Path

from . import facts
from .children import Start, start
from .log import Log, Row, Value

CATEGORY = "activity"
FILES = "kfile_events"
_TOUCHED = b"some text\n"


def expect(log: Log, operation: str, path: Path, **values: Value) -> None:
    """Log one change that this process has made."""
    ids: Row = {name: str(value) for name, value in facts.ids().items()}
    audit = facts.audit()
    values |= {**ids, "auid": str(audit["auid"]), "session_id": audit["session_id"]}
    values |= {"category": CATEGORY, "executable": os.path.realpath("/proc/self/exe")}
    values |= {"partial": "false", "tid": os.getpid(), "ppid": os.getppid(), "flags": 0}
    log.expect(FILES, {"operation": operation, "path": str(path), "pid": os.getpid()}, **values)


def of(path: Path) -> dict[str, Value]:
    """Return what a row has of a file as it is now."""
    stat = path.lstat()
    return {
        "device": facts.device(stat.st_dev),
        "inode": stat.st_ino,
        "mode": f"{stat.st_mode:07o}",
        "owner_uid": stat.st_uid,
        "owner_gid": stat.st_gid,
        "nlink": stat.st_nlink,
    }


def made(log: Log) -> Path:
    """Make a file with some text for a step, and log that."""
    path = log.watched / log.step
    with path.open("wb", buffering=0) as file:
        expect(log, "create", path, **of(path))
        file.write(_TOUCHED)
    expect(log, "modify", path, **of(path))
    expect(log, "close_write", path, **of(path))
    return path


def a_file(log: Log) -> None:
    """Make a file and write to it."""
    made(log)


def a_rename(log: Log) -> None:
    """Rename a file within the watched folder."""
    path = made(log)
    target = path.with_name("renamed")
    path.rename(target)
    expect(log, "rename", path, dest_path=str(target), **of(target))


def a_rename_over_another_file(log: Log) -> None:
    """Replace a file by a rename: the row is that of the new one."""
    path = made(log)
    target = path.with_name("replaced")
    target.touch()
    path.rename(target)
    expect(log, "rename", path, dest_path=str(target), **of(target))


def a_removal(log: Log) -> None:
    """Remove a file."""
    path = made(log)
    before = {**of(path), "nlink": 0}
    path.unlink()
    expect(log, "unlink", path, **before)


def a_folder(log: Log) -> None:
    """Make a folder and remove it."""
    path = log.watched / log.step
    path.mkdir()
    expect(log, "create", path, **of(path))
    path.rmdir()
    expect(log, "unlink", path)


def a_symbolic_link(log: Log) -> None:
    """Make a symbolic link."""
    path = log.watched / log.step
    path.symlink_to("/etc/passwd")
    expect(log, "create", path, **of(path))


def a_hard_link(log: Log) -> None:
    """Give a file a second name."""
    path = made(log)
    other = path.with_name("second-name")
    os.link(path, other)
    expect(log, "link", other, **of(other))


def a_fifo(log: Log) -> None:
    """Make a named pipe."""
    path = log.watched / log.step
    os.mkfifo(path, 0o640)
    expect(log, "create", path, **of(path))


def a_mode(log: Log) -> None:
    """Change a file's mode."""
    path = made(log)
    path.chmod(0o4711)
    expect(log, "attrib", path, **of(path))


def an_owner(log: Log) -> None:
    """Change a file's owner."""
    path = made(log)
    os.chown(path, 1000, 4)
    expect(log, "attrib", path, **of(path))


def an_attribute(log: Log) -> None:
    """Give a file an extended attribute."""
    path = made(log)
    os.setxattr(path, "trusted.osq", b"1")
    expect(log, "attrib", path, **of(path))


def a_text_that_is_no_text(log: Log) -> None:
    """Make a file whose name has a byte that is no text, and a newline."""
    path = Path(os.fsdecode(os.fsencode(log.watched) + b"/odd\xff\nname"))
    path.touch()
    shown = os.fsencode(path).decode(errors="backslashreplace")
    expect(log, "create", Path(shown), **of(path))


def sed_in_place(log: Log) -> None:
    """Let sed change a file: it writes another one, and renames that."""
    path = made(log)
    script = "s/some/any/"
    program = "/usr/bin/sed"
    pid = start(log, Start(program=program, arguments=["sed", "-i", script, str(path)]))
    if path.read_bytes() != b"any text\n":
        raise RuntimeError("sed has not changed the file")
    values: Row = {
        f"path GLOB '{log.watched}/sed??????'": 1,
        "executable": os.path.realpath(program),
    }
    key: Row = {"operation": "rename", "pid": pid, "dest_path": str(path)}
    log.expect_all(FILES, key, {**values, "uid": "0", "inode": path.stat().st_ino})


def a_copy(log: Log) -> None:
    """Let cp copy a file into the folder."""
    path = log.watched / log.step
    program = "/usr/bin/cp"
    pid = start(log, Start(program=program, arguments=["cp", "/etc/passwd", str(path)]))
    for operation in ("create", "close_write"):
        key: Row = {"operation": operation, "pid": pid, "path": str(path)}
        own: Row = {"inode": path.stat().st_ino, "category": CATEGORY}
        log.expect(FILES, key, executable=os.path.realpath(program), **own)


STEPS: tuple[Callable[[Log], None], ...] = (
    *(a_file, a_rename, a_rename_over_another_file, a_removal, a_folder, a_symbolic_link),
    *(a_hard_link, a_fifo, a_mode, an_owner, an_attribute, a_text_that_is_no_text),
    *(sed_in_place, a_copy),
)
