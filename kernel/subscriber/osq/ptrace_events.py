# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table kptrace_events: processes that read, write or control another one (ptrace)."""

from osq.columns import (
    Column,
    Source,
    SqlType,
    Table,
    actor_columns,
    common_columns,
    program_column,
)
from osq.layout import enum_names
from osq.records import Ptrace
from osq.values import signed

_ACTIONS = enum_names("osq_ptrace_action", "OSQ_PTRACE_")


def _col(name: str, kind: SqlType, by: str | Source, source: str) -> Column:
    return Column(name=name, kind=kind, by={Ptrace: by}, source=source)


_COLUMNS = (
    _col(
        *("action", "TEXT", lambda e, _: _ACTIONS.get(e.action, "")),
        "ptrace.action: access, traceme",
    ),
    _col("pid", "BIGINT", "pid", "head.pid: of who gets hold; for traceme, of who is traced"),
    _col("parent", "BIGINT", "ppid", "head.ppid"),
    _col("tid", "BIGINT", "tid", "head.tid"),
    program_column(Ptrace, "path"),
    _col("syscall", "BIGINT", "syscall", "ptrace.syscall: its number; 4294967295: in none"),
    _col("uid", "BIGINT", "uid", "ptrace.uid"),
    _col("euid", "BIGINT", "euid", "ptrace.euid"),
    _col("auid", "BIGINT", "auid", "ptrace.auid; 4294967295 when not set"),
    _col("session_id", "BIGINT", "session", "ptrace.session: audit's"),
    _col("target_pid", "BIGINT", "target_pid", "ptrace.target_pid; for traceme, the parent"),
    _col("target_tid", "BIGINT", "target_tid", "ptrace.target_tid"),
    _col(
        *("target_start_ntime", "BIGINT", "target_start_boot_ns"),
        "ptrace.target_start_boot_ns: with target_pid it names the process for good",
    ),
    _col(
        *("target_device", "BIGINT", lambda e, _: signed(e.target_dev)),
        "ptrace.target_dev: what the target runs; 0: unknown",
    ),
    _col("target_inode", "BIGINT", lambda e, _: signed(e.target_ino), "ptrace.target_ino"),
    _col("target_uid", "BIGINT", "target_uid", "ptrace.target_uid"),
    _col("target_euid", "BIGINT", "target_euid", "ptrace.target_euid"),
    _col("start_ntime", "BIGINT", "start_boot_ns", "head.start_boot_ns"),
)

PTRACE_EVENTS = Table(
    name="kptrace_events",
    about="Processes that get hold of another one: ptrace, process_vm_writev, /proc/PID/mem.",
    columns=(*_COLUMNS, *actor_columns((Ptrace,)), *common_columns((Ptrace,))),
    holds=(Ptrace,),
)
