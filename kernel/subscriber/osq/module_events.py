# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table kmodule_events: kernel modules that are loaded and unloaded."""

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
from osq.records import Module
from osq.values import signed, text

_ACTIONS = enum_names("osq_module_action", "OSQ_MODULE_")


def _col(name: str, kind: SqlType, by: str | Source, source: str) -> Column:
    return Column(name=name, kind=kind, by={Module: by}, source=source)


_COLUMNS = (
    _col(
        *("action", "TEXT", lambda e, _: _ACTIONS.get(e.action, "")),
        "module.action: loading, loaded, unloading, failed",
    ),
    _col("name", "TEXT", lambda e, _: text(e.name), "module.name, as in /proc/modules"),
    _col("version", "TEXT", lambda e, _: text(e.version), "module.version; empty: it has none"),
    _col("srcversion", "TEXT", lambda e, _: text(e.srcversion), "module.srcversion"),
    _col("args", "TEXT", lambda e, _: text(e.args), "module.args: its parameters, when loading"),
    _col("args_size", "BIGINT", "args_bytes", "module.args_bytes, before any cut"),
    _col("file", "TEXT", lambda e, _: text(e.path), "module.path: what it is loaded from"),
    _col(
        *("file_device", "BIGINT", lambda e, _: signed(e.file_dev)),
        "module.file_dev; 0: from memory, or unknown",
    ),
    _col("file_inode", "BIGINT", lambda e, _: signed(e.file_ino), "module.file_ino"),
    _col("error", "BIGINT", "error", "module.error: errno of a load that failed; 0 else"),
    _col(
        *("taints", "BIGINT", lambda e, _: signed(e.taints)),
        "module.taints: bits as in /proc/sys/kernel/tainted",
    ),
    _col(
        *("size_bytes", "BIGINT", lambda e, _: signed(e.size_bytes)),
        "module.size_bytes: what stays in memory",
    ),
    _col("pid", "BIGINT", "pid", "head.pid: of who loads or unloads it"),
    _col("parent", "BIGINT", "ppid", "head.ppid"),
    _col("tid", "BIGINT", "tid", "head.tid"),
    program_column(Module, "path"),
    _col("start_ntime", "BIGINT", "start_boot_ns", "head.start_boot_ns"),
)

MODULE_EVENTS = Table(
    name="kmodule_events",
    about="Kernel modules loaded and unloaded.",
    columns=(*_COLUMNS, *actor_columns((Module,)), *common_columns((Module,))),
    holds=(Module,),
)
