# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table kprocess_events: started programs, and processes and threads that begin and end."""

import json
import re
import stat
from dataclasses import replace

from osq.columns import (
    Column,
    Context,
    Source,
    SqlType,
    SqlValue,
    Table,
    actor_columns,
    common_columns,
    shared_text,
)
from osq.layout import flag_names
from osq.parents import INDEXES, PARENT_COLUMNS
from osq.records import Event, Exec, Exit, Fork, split_vector
from osq.values import signed, text

_ALL = (Exec, Fork, Exit)
_NS_PER_S = 1_000_000_000
# Flags of a record, and the column that is incomplete when the flag is set.
_OVERFLOWS = {"trunc_argv": "cmdline", "trunc_env": "env", "trunc_filename": "filename"}
_TO_JSON = json.JSONEncoder(ensure_ascii=False).encode
# Texts that many rows have.
_SHARED = frozenset({"path", "cmdline", "env", "cwd", "filename", "cgroup", "container_id"})
# Runtimes of containers name the control group of a container after its id.
_CONTAINER_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_JSON_FROM_CMDLINE = f"""'["' || replace({shared_text("cmdline")}, ' ', '", "') || '"]'"""
# Files without a type are anonymous: epoll and eventfd, for example.
_KINDS = {
    stat.S_IFREG: "regular",
    stat.S_IFDIR: "directory",
    stat.S_IFCHR: "character",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFLNK: "symlink",
}
_PROBE_ERRORS = frozenset({"partial_argv", "partial_env", "no_path", "no_cwd"})


def _cmdline(event: Exec, _: Context) -> SqlValue:
    return " ".join(text(one) for one in event.arguments)


def _json_cmdline(event: Exec, _: Context) -> SqlValue:
    """Return the arguments as a JSON array, or None where that follows from the column cmdline.

    The view then makes it, so that the store need not hold it.
    """
    words = [text(one) for one in event.arguments]
    encoded = _TO_JSON(words)
    from_cmdline = '["' + " ".join(words).replace(" ", '", "') + '"]'
    return None if encoded == from_cmdline else encoded


def _env(event: Exec, context: Context) -> SqlValue:
    allowed = context.environment_variables
    if not allowed:
        return ""
    variables = split_vector(event.env)
    return " ".join(text(one) for one in variables if one.partition(b"=")[0] in allowed)


def _overflows(event: Event, _: Context) -> SqlValue:
    if not event.flags:
        return ""
    return ",".join(_OVERFLOWS[one] for one in flag_names(event.flags) if one in _OVERFLOWS)


def _probe_error(event: Event, _: Context) -> SqlValue:
    return event.flags and int(any(one in _PROBE_ERRORS for one in flag_names(event.flags)))


def _bytes_as_text(name: str) -> Source:
    return lambda event, _: text(getattr(event, name))


def _container_id(event: Exec, _: Context) -> SqlValue:
    """Return the id of the innermost container that the process's control group names, or None."""
    ids = _CONTAINER_ID.findall(text(event.cgroup))
    return ids[-1] if ids else None


def _seconds(name: str) -> Source:
    return lambda event, _: int(getattr(event, name)) // _NS_PER_S


def _number(name: str) -> Source:
    return lambda event, _: signed(getattr(event, name))


def _kind_of_file(name: str) -> Source:
    """Return a source of the kind of file that a mode is of; of mode 0, NULL."""

    def kind(event: Event, _: Context) -> SqlValue:
        mode = int(getattr(event, name))
        return _KINDS.get(stat.S_IFMT(mode), "anonymous") if mode else None

    return kind


def _is_thread(event: Event) -> bool:
    if isinstance(event, Fork):
        return event.child_pid == event.pid
    return isinstance(event, Exit) and not event.last


def _event_type(event: Event, _: Context) -> SqlValue:
    kind = type(event).__name__.lower()
    return f"thread_{kind}" if _is_thread(event) else kind


def _of_exec(
    name: str,
    kind: SqlType,
    by: str | Source,
    source: str,
    origin: str = "process_events",
    *,
    hidden: bool = False,
) -> Column:
    """Return a column that rows of exec fill, and that is NULL in rows of fork and exit."""
    return Column(
        name=name,
        kind=kind,
        by={Exec: by},
        source=source,
        origin=origin,
        hidden=hidden,
        shared=name in _SHARED,
    )


def _empty(name: str, kind: SqlType, why: str, origin: str = "process_events") -> Column:
    return Column(name=name, kind=kind, source=f"empty: {why}", origin=origin, hidden=True)


def _of_all(name: str, kind: SqlType, by: str | Source, source: str, origin: str) -> Column:
    return Column(name=name, kind=kind, by=dict.fromkeys(_ALL, by), source=source, origin=origin)


_OF_FILE = "of the file that runs, as stat gives it"
_AUDIT = (
    _of_all("pid", "BIGINT", "pid", "head.pid", "process_events"),
    _of_exec("path", "TEXT", _bytes_as_text("path"), "exec.path, within the process's own root"),
    _of_exec("mode", "TEXT", lambda e, _: f"{e.mode:07o}", "exec.mode, octal"),
    _of_exec("cmdline", "TEXT", _cmdline, "exec.argv, a space between arguments"),
    _of_exec(
        "cmdline_size", "BIGINT", "argv_bytes", "exec.argv_bytes, before any cut", hidden=True
    ),
    _of_exec(
        "env", "TEXT", _env, "exec.env: the variables that the configuration allows", hidden=True
    ),
    _of_exec("env_count", "BIGINT", "envc", "exec.envc, of all variables", hidden=True),
    _of_exec("env_size", "BIGINT", "env_bytes", "exec.env_bytes, of all variables", hidden=True),
    _of_exec("cwd", "TEXT", _bytes_as_text("cwd"), "exec.cwd"),
    _of_exec("auid", "BIGINT", "auid", "exec.auid; 4294967295 when not set"),
    *(
        _of_exec(name, "BIGINT", name, f"exec.{name}")
        for name in ("uid", "euid", "gid", "egid", "suid", "fsuid", "sgid", "fsgid")
    ),
    _of_exec("owner_uid", "BIGINT", "owner_uid", f"exec.owner_uid, {_OF_FILE}"),
    _of_exec("owner_gid", "BIGINT", "owner_gid", f"exec.owner_gid, {_OF_FILE}"),
    *(
        _of_exec(name, "BIGINT", _seconds(f"{name}_ns"), f"exec.{name}_ns in seconds, {_OF_FILE}")
        for name in ("atime", "mtime", "ctime")
    ),
    _empty("btime", "BIGINT", "not every file system has it, and no record"),
    _of_exec("overflows", "TEXT", _overflows, "head.flags: columns that were cut", hidden=True),
    _of_all("parent", "BIGINT", "ppid", "head.ppid", "process_events"),
    _empty("syscall", "TEXT", "the hook lies behind the system calls; see event_type"),
)
_BPF = (
    _of_all("tid", "BIGINT", "tid", "head.tid", "bpf_process_events"),
    Column(
        name="cid",
        kind="BIGINT",
        select="cgroup_id",
        origin="bpf_process_events",
        source="exec.cgroup_id",
    ),
    _of_exec(
        "probe_error",
        "INTEGER",
        _probe_error,
        "head.flags: a part was not to be had",
        "bpf_process_events",
    ),
    _empty(
        "duration", "INTEGER", "the event is one moment of a system call", "bpf_process_events"
    ),
    Column(
        name="json_cmdline",
        kind="TEXT",
        by={Exec: _json_cmdline},
        source="exec.argv as a JSON array",
        origin="bpf_process_events",
        hidden=True,
        shared=True,
        otherwise=_JSON_FROM_CMDLINE,
    ),
)
_ES = (
    _of_all(
        "event_type",
        "TEXT",
        _event_type,
        "the record's type: exec, fork, exit; thread_fork and thread_exit for threads",
        "es_process_events",
    ),
    Column(
        name="child_pid",
        kind="BIGINT",
        by={Fork: "child_pid"},
        origin="es_process_events",
        source="fork.child_pid",
    ),
    Column(
        name="exit_code",
        kind="INTEGER",
        by={Exit: lambda e, _: e.status >> 8 & 0xFF},
        origin="es_process_events",
        source="exit.status, bits 8 to 15",
    ),
    _of_exec("cmdline_count", "BIGINT", "argc", "exec.argc, before any cut", "es_process_events"),
    _of_exec("session_id", "BIGINT", "session", "exec.session: audit's", "es_process_events"),
    _empty(
        "original_parent", "BIGINT", "head.ppid is the parent at the event", "es_process_events"
    ),
)
_OWN = (
    Column(name="child_tid", kind="BIGINT", by={Fork: "child_tid"}, source="fork.child_tid"),
    Column(
        name="child_start_ntime",
        kind="BIGINT",
        by={Fork: "child_start_boot_ns"},
        source="fork.child_start_boot_ns: start_ntime in the child's own rows",
    ),
    Column(
        name="signal",
        kind="INTEGER",
        by={Exit: lambda e, _: e.status & 0x7F},
        source="exit.status, bits 0 to 6: what it died of",
    ),
    Column(
        name="core_dumped",
        kind="INTEGER",
        by={Exit: lambda e, _: e.status >> 7 & 1},
        source="exit.status, bit 7",
    ),
    Column(
        name="max_rss_bytes",
        kind="BIGINT",
        by={Exit: lambda e, _: signed(e.max_rss_bytes)},
        source="exit.max_rss_bytes: the process's largest memory; 0 in rows of threads",
    ),
    _of_exec(
        "filename", "TEXT", _bytes_as_text("filename"), "exec.filename: as it was asked for", "osq"
    ),
    _of_exec("old_tid", "BIGINT", "old_tid", "exec.old_tid: the thread before the exec", "osq"),
    _of_exec("device", "BIGINT", _number("dev"), "exec.dev: major << 32 | minor", "osq"),
    _of_exec("inode", "BIGINT", _number("ino"), "exec.ino", "osq"),
    _of_exec(
        "script_device",
        "BIGINT",
        _number("script_dev"),
        "exec.script_dev: of a script; 0: a program",
        "osq",
    ),
    _of_exec("script_inode", "BIGINT", _number("script_ino"), "exec.script_ino", "osq"),
    _of_exec("cgroup_id", "BIGINT", _number("cgroup_id"), "exec.cgroup_id", "osq"),
    _of_exec(
        *("cgroup", "TEXT", _bytes_as_text("cgroup")),
        "exec.cgroup: path of the control group; empty: too long",
        "osq",
    ),
    _of_exec(
        *("container_id", "TEXT", _container_id),
        "exec.cgroup: the last 64 hexadecimal digits in it, as Docker, Podman and Kubernetes name"
        " groups; NULL: none",
        "osq",
    ),
    _of_exec("tty", "BIGINT", _number("tty"), "exec.tty: major << 32 | minor; 0: none", "osq"),
    *(
        _of_exec(
            *(name, "TEXT", _kind_of_file(f"{name}_mode")),
            f"exec.{name}_mode: regular, fifo, socket, character and so on; NULL: closed",
            "osq",
        )
        for name in ("stdin", "stdout", "stderr")
    ),
    *(
        _of_exec(name, "BIGINT", name, f"exec.{name}: inode of /proc/PID/ns", "osq")
        for name in ("pid_ns", "mnt_ns", "net_ns", "uts_ns", "ipc_ns", "user_ns", "cgroup_ns")
    ),
    _of_exec("ns_pid", "BIGINT", "ns_pid", "exec.ns_pid: in its own pid namespace", "osq"),
    _of_all(
        "start_ntime",
        "BIGINT",
        "start_boot_ns",
        "head.start_boot_ns: with pid it names a process for good",
        "osq",
    ),
)

# Other names of columns in osquery's process_events.
_ALIASES = {
    "env": "environment",
    "env_count": "environment_count",
    "env_size": "environment_size",
    "atime": "access_time",
    "mtime": "modify_time",
    "ctime": "change_time",
    "btime": "create_time",
}


def _with_alias(column: Column) -> Column:
    alias = _ALIASES.get(column.name)
    return replace(column, aliases=(alias,)) if alias else column


PROCESS_EVENTS = Table(
    name="kprocess_events",
    about="Programs started, processes and threads begun and ended.",
    columns=tuple(
        map(
            _with_alias,
            (
                *_AUDIT,
                *_BPF,
                *_ES,
                *_OWN,
                *actor_columns(_ALL),
                *PARENT_COLUMNS,
                *common_columns(_ALL),
            ),
        )
    ),
    holds=_ALL,
    indexes=INDEXES,
)
