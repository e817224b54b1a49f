# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table kptrace_events: processes that read, write or control another one (ptrace)."""

from osq.columns import (
    Column,
    Source,
    SqlType,
    Table,
    actor_columns,
    caller_columns,
    common_columns,
    target_columns,
)
from osq.layout import enum_names
from osq.records import Ptrace

_ACTIONS = enum_names("osq_ptrace_action", "OSQ_PTRACE_")


def _col(name: str, kind: SqlType, by: str | Source, source: str) -> Column:
    return Column(name=name, kind=kind, by={Ptrace: by}, source=source)


_COLUMNS = (
    _col(
        *("action", "TEXT", lambda e, _: _ACTIONS.get(e.action, "")),
        "ptrace.action: access, traceme",
    ),
    *caller_columns(
        Ptrace, "ptrace", pid="head.pid: of who gets hold; for traceme, of who is traced"
    ),
    *target_columns(Ptrace, "ptrace.target_", pid="; for traceme, the parent"),
    _col("start_ntime", "BIGINT", "start_boot_ns", "head.start_boot_ns"),
)

PTRACE_EVENTS = Table(
    name="kptrace_events",
    about="Processes that get hold of another one: ptrace, process_vm_writev, /proc/PID/mem.",
    columns=(*_COLUMNS, *actor_columns((Ptrace,)), *common_columns((Ptrace,))),
    holds=(Ptrace,),
)
