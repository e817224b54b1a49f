# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table ksignal_events: signals that a process sends to another one."""

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
from osq.records import Signal


def _col(name: str, kind: SqlType, by: str | Source, source: str) -> Column:
    return Column(name=name, kind=kind, by={Signal: by}, source=source)


_COLUMNS = (
    _col("signal", "BIGINT", "signal", "signal.signal: its number"),
    *caller_columns(Signal, pid="head.pid: of who sends it"),
    *target_columns(Signal, "signal.target."),
    _col("start_ntime", "BIGINT", "start_boot_ns", "head.start_boot_ns"),
)

SIGNAL_EVENTS = Table(
    name="ksignal_events",
    about="Signals that processes send to others.",
    columns=(*_COLUMNS, *actor_columns((Signal,)), *common_columns((Signal,))),
    holds=(Signal,),
)
