# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The contents of the driver's records as typed values.

Field names are those of uapi/osq.h; layout.py takes their offsets and widths from the compiled
header. Spans are bytes, exactly as the kernel gave them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Event:
    """The fields that every record of the driver has, whatever its type.

    seq: the attempt's number within the session; a gap means lost records.
    flags: OSQ_FLAG_* of osq.h. cpu: the CPU on which the record was made.
    Units: *_boot_ns are nanoseconds of CLOCK_BOOTTIME.
    """

    seq: int
    ts_boot_ns: int
    start_boot_ns: int
    pid: int
    tid: int
    ppid: int
    parent_start_boot_ns: int
    cpu: int
    flags: int


@dataclass(frozen=True, kw_only=True)
class Acted:
    """Device and inode of the files that a process and its parent ran; 0 when not known."""

    program_dev: int
    program_ino: int
    parent_dev: int
    parent_ino: int


@dataclass(frozen=True, kw_only=True)
class Lost(Event):
    """A gap where the kernel dropped records: their numbers, times, reasons and types."""

    first_seq: int
    last_seq: int
    first_ts_boot_ns: int
    last_ts_boot_ns: int
    dropped: tuple[int, ...]
    types: int


@dataclass(frozen=True, kw_only=True)
class Exec(Event, Acted):
    """A process has begun to run another program (execve)."""

    uid: int
    euid: int
    suid: int
    fsuid: int
    gid: int
    egid: int
    sgid: int
    fsgid: int
    auid: int
    session: int
    argc: int
    argv_bytes: int
    mode: int
    owner_uid: int
    owner_gid: int
    old_tid: int
    dev: int
    ino: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int
    path: bytes
    filename: bytes
    argv: bytes
    env: bytes
    cwd: bytes
    envc: int
    env_bytes: int
    pid_ns: int
    mnt_ns: int
    net_ns: int
    uts_ns: int
    ipc_ns: int
    user_ns: int
    cgroup_ns: int
    ns_pid: int
    cgroup_id: int
    tty: int
    cgroup: bytes
    script_dev: int
    script_ino: int
    stdin_mode: int
    stdout_mode: int
    stderr_mode: int

    @property
    def arguments(self) -> tuple[bytes, ...]:
        """The program's arguments; the last argument may be cut (OSQ_FLAG_TRUNC_ARGV)."""
        return split_vector(self.argv)


@dataclass(frozen=True, kw_only=True)
class Fork(Event, Acted):
    """A thread has created a process (child_pid differs from pid) or a thread of its own."""

    child_pid: int
    child_tid: int
    child_start_boot_ns: int


@dataclass(frozen=True, kw_only=True)
class Exit(Event, Acted):
    """A thread has ended, and with it its process if `last` is 1; status is that of wait(2)."""

    status: int
    last: int
    max_rss_bytes: int


@dataclass(frozen=True, kw_only=True)
class Socket(Event, Acted):
    """A socket call, such as connect or close; addresses are bytes in network order."""

    action: int
    status: int
    error: int
    backlog: int
    uid: int
    euid: int
    gid: int
    egid: int
    auid: int
    session: int
    family: int
    socktype: int
    protocol: int
    local_port: int
    remote_port: int
    ifindex: int
    local_addr: tuple[int, ...]
    remote_addr: tuple[int, ...]
    cookie: int
    acked_bytes: int
    received_bytes: int
    local_path: bytes
    remote_path: bytes
    net_ns: int


@dataclass(frozen=True, kw_only=True)
class File(Event, Acted):
    """A file under a watched path was used or changed."""

    uid: int
    euid: int
    suid: int
    fsuid: int
    gid: int
    egid: int
    sgid: int
    fsgid: int
    auid: int
    session: int
    action: int
    mode: int
    owner_uid: int
    owner_gid: int
    nlink: int
    dev: int
    ino: int
    path: bytes
    dest_path: bytes


@dataclass(frozen=True, kw_only=True)
class Module(Event, Acted):
    """A kernel module is loaded or unloaded, or a call that was to load one has failed."""

    action: int
    args_bytes: int
    taints: int
    size_bytes: int
    name: bytes
    version: bytes
    srcversion: bytes
    args: bytes
    file_dev: int
    file_ino: int
    path: bytes
    error: int


@dataclass(frozen=True, kw_only=True)
class Cred(Event, Acted):
    """The credentials of a thread change from the fields old_* to the fields now_*."""

    action: int
    changed: int
    auid: int
    session: int
    old_uid: int
    old_euid: int
    old_suid: int
    old_fsuid: int
    old_gid: int
    old_egid: int
    old_sgid: int
    old_fsgid: int
    old_permitted: int
    old_effective: int
    old_inheritable: int
    old_bounding: int
    old_ambient: int
    old_securebits: int
    old_user_ns: int
    old_groups: int
    now_uid: int
    now_euid: int
    now_suid: int
    now_fsuid: int
    now_gid: int
    now_egid: int
    now_sgid: int
    now_fsgid: int
    now_permitted: int
    now_effective: int
    now_inheritable: int
    now_bounding: int
    now_ambient: int
    now_securebits: int
    now_user_ns: int
    now_groups: int


@dataclass(frozen=True, kw_only=True)
class Ptrace(Event, Acted):
    """A thread is about to read, write or control another process, or to let itself be traced."""

    action: int
    syscall: int
    uid: int
    euid: int
    auid: int
    session: int
    target_pid: int
    target_tid: int
    target_start_boot_ns: int
    target_dev: int
    target_ino: int
    target_uid: int
    target_euid: int


@dataclass(frozen=True, kw_only=True)
class Called:
    """The system call of an event's thread, and its ids."""

    syscall: int
    uid: int
    euid: int
    auid: int
    session: int


@dataclass(frozen=True, kw_only=True)
class Namespace(Event, Acted, Called):
    """A process is about to change what it sees: mounts, its root or its namespaces."""

    action: int
    mount_flags: int
    dev: int
    changed: int
    mnt_ns: int
    net_ns: int
    uts_ns: int
    ipc_ns: int
    user_ns: int
    cgroup_ns: int
    pid_ns: int
    time_ns: int
    path: bytes
    source: bytes
    fs: bytes


@dataclass(frozen=True, kw_only=True)
class Bpf(Event, Acted, Called):
    """A BPF program is about to be handed out, or attached; tag is bytes."""

    action: int
    command: int
    prog_id: int
    prog_type: int
    attach_type: int
    target_fd: int
    insns: int
    tag: tuple[int, ...]
    name: bytes
    target: bytes


@dataclass(frozen=True, kw_only=True)
class Kexec(Event, Acted, Called):
    """A process gives the kernel another one to start later."""

    action: int
    kexec_flags: int
    file_dev: int
    file_ino: int
    path: bytes
    cmdline: bytes


@dataclass(frozen=True, kw_only=True)
class Signal(Event, Acted, Called):
    """A process is about to send a signal to another one, the target."""

    signal: int
    target_pid: int
    target_tid: int
    target_start_boot_ns: int
    target_dev: int
    target_ino: int
    target_uid: int
    target_euid: int


@dataclass(frozen=True, kw_only=True)
class Unknown(Event):
    """A record of a type that this version does not know, of which only the head is decoded."""

    type: int


def split_vector(vector: bytes) -> tuple[bytes, ...]:
    """Return the strings of an argument list or environment, each of which ends with a NUL.

    The last string of a list that was cut has no NUL.
    """
    return tuple(vector.removesuffix(b"\0").split(b"\0")) if vector else ()
