# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table ksignal_events: signals that a process sends to another one."""

from osq.columns import (
    Column,
    Source,
    SqlType,
    Table,
    actor_columns,
    common_columns,
    program_column,
)
from osq.records import Signal
from osq.values import signed


def _col(name: str, kind: SqlType, by: str | Source, source: str) -> Column:
    return Column(name=name, kind=kind, by={Signal: by}, source=source)


_COLUMNS = (
    _col("signal", "BIGINT", "signal", "signal.signal: its number"),
    _col("pid", "BIGINT", "pid", "head.pid: of who sends it"),
    _col("parent", "BIGINT", "ppid", "head.ppid"),
    _col("tid", "BIGINT", "tid", "head.tid"),
    program_column(Signal, "path"),
    _col("syscall", "BIGINT", "syscall", "caller.syscall: its number; 4294967295: in none"),
    _col("uid", "BIGINT", "uid", "caller.uid"),
    _col("euid", "BIGINT", "euid", "caller.euid"),
    _col("auid", "BIGINT", "auid", "caller.auid; 4294967295 when not set"),
    _col("session_id", "BIGINT", "session", "caller.session: audit's"),
    _col("target_pid", "BIGINT", "target_pid", "signal.target.pid"),
    _col("target_tid", "BIGINT", "target_tid", "signal.target.tid"),
    _col(
        *("target_start_ntime", "BIGINT", "target_start_boot_ns"),
        "signal.target.start_boot_ns: with target_pid it names the process for good",
    ),
    _col(
        *("target_device", "BIGINT", lambda e, _: signed(e.target_dev)),
        "signal.target.dev: what the target runs; 0: unknown",
    ),
    _col("target_inode", "BIGINT", lambda e, _: signed(e.target_ino), "signal.target.ino"),
    _col("target_uid", "BIGINT", "target_uid", "signal.target.uid"),
    _col("target_euid", "BIGINT", "target_euid", "signal.target.euid"),
    _col("start_ntime", "BIGINT", "start_boot_ns", "head.start_boot_ns"),
)

SIGNAL_EVENTS = Table(
    name="ksignal_events",
    about="Signals that processes send to others.",
    columns=(*_COLUMNS, *actor_columns((Signal,)), *common_columns((Signal,))),
    holds=(Signal,),
)
