# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the kernel tells a process of itself, in the terms of the subscriber's tables."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from .log import Value

# /proc has starts in ticks of a hundredth of a second; a start in a table is in nanoseconds.
START = "start_ntime / 10000000"
PARENT_START = "parent_start_ntime / 10000000"
CHILD_START = "child_start_ntime / 10000000"
_TTY, _START = 4, 19
_KINDS = {
    stat.S_IFREG: "regular",
    stat.S_IFCHR: "character",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


def stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat that follow the program's name."""
    line = Path(f"/proc/{pid}/stat").read_bytes().decode(errors="replace")
    return line.rpartition(")")[2].split()


def start_of(pid: int) -> int:
    """Return the tick in which a process began."""
    return int(stat_fields(pid)[_START])


def device(number: int) -> int:
    """Return a device number as the tables have it."""
    return os.major(number) << 32 | os.minor(number)


def program_of(pid: int) -> tuple[int, int]:
    """Return device and inode number of the file that a process runs."""
    found = Path(f"/proc/{pid}/exe").stat()
    return device(found.st_dev), found.st_ino


def audit() -> dict[str, Value]:
    """Return the login uid and the session that this process has."""
    return {
        "auid": int(Path("/proc/self/loginuid").read_text()),
        "session_id": int(Path("/proc/self/sessionid").read_text()),
    }


def ids() -> dict[str, Value]:
    """Return the ids of this process; those for files follow the effective ones."""
    uid, euid, suid = os.getresuid()
    gid, egid, sgid = os.getresgid()
    of_user = {"uid": uid, "euid": euid, "suid": suid, "fsuid": euid}
    return {**of_user, "gid": gid, "egid": egid, "sgid": sgid, "fsgid": egid}


def family() -> dict[str, Value]:
    """Return this process's parent and both starts, as columns that every table has."""
    parent = os.getppid()
    return {
        "tid": os.getpid(),
        "parent": parent,
        START: start_of(os.getpid()),
        PARENT_START: start_of(parent),
    }


def parent_program() -> dict[str, Value]:
    """Return the program that the parent of this process runs."""
    parent = os.getppid()
    dev, ino = program_of(parent)
    path = os.path.realpath(f"/proc/{parent}/exe")
    return {"parent_device": dev, "parent_inode": ino, "parent_path": path}


def surroundings() -> dict[str, Value]:
    """Return terminal, control group, and namespaces of this process."""
    terminal = int(stat_fields(os.getpid())[_TTY])
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    group = next((line[3:] for line in lines if line.startswith("0::")), "/")
    folder = Path("/sys/fs/cgroup") / group.lstrip("/")
    spaces = ("pid", "mnt", "net", "uts", "ipc", "user", "cgroup")
    found: dict[str, Value] = {
        f"{one}_ns": Path(f"/proc/self/ns/{one}").stat().st_ino for one in spaces
    }
    status = Path("/proc/self/status").read_text().splitlines()
    (ns_pids,) = (line.split()[1:] for line in status if line.startswith("NSpid:"))
    found |= {"tty": device(terminal), "cgroup": group, "container_id": None}
    if folder.is_dir():
        found |= {"cgroup_id": folder.stat().st_ino, "cid": folder.stat().st_ino}
    return {**found, "ns_pid": int(ns_pids[-1])}


def standard_files() -> dict[str, Value]:
    """Return the kinds of what the descriptors 0, 1 and 2 of this process lead to."""
    kinds = [_KINDS[stat.S_IFMT(os.fstat(one).st_mode)] for one in range(3)]
    return dict(zip(("stdin", "stdout", "stderr"), kinds, strict=True))


def script(path: str | Path | None) -> dict[str, Value]:
    """Return device and inode number of the script that is run, or 0 where it is a program."""
    found = os.stat(path) if path else None  # noqa: PTH116 - None, too
    return {
        "script_device": device(found.st_dev) if found else 0,
        "script_inode": found.st_ino if found else 0,
    }


def of_file(path: str | int) -> dict[str, Value]:
    """Return what stat tells of a program's file, except for its last access."""
    found = os.stat(path)  # noqa: PTH116 - a descriptor, too
    return {
        "mode": f"{found.st_mode:07o}",
        "owner_uid": found.st_uid,
        "owner_gid": found.st_gid,
        "device": device(found.st_dev),
        "inode": found.st_ino,
        "program_device": device(found.st_dev),
        "program_inode": found.st_ino,
        "mtime": found.st_mtime_ns // 10**9,
        "ctime": found.st_ctime_ns // 10**9,
    }


def of_arguments(arguments: list[bytes], environment: Mapping[bytes, bytes]) -> dict[str, Value]:
    """Return what the tables have of a program's arguments and environment."""
    variables = [name + b"=" + value for name, value in environment.items()]
    return {
        "cmdline": b" ".join(arguments).decode(errors="backslashreplace"),
        "cmdline_count": len(arguments),
        "cmdline_size": sum(len(one) + 1 for one in arguments),
        "env_count": len(variables),
        "env_size": sum(len(one) + 1 for one in variables),
    }
