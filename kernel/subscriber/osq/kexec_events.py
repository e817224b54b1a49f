# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table kkexec_events: kernels that are given to kexec."""

from osq.columns import (
    Column,
    Source,
    SqlType,
    Table,
    actor_columns,
    caller_columns,
    common_columns,
)
from osq.layout import enum_names
from osq.records import Kexec
from osq.values import signed, text

_ACTIONS = enum_names("osq_kexec_action", "OSQ_KEXEC_")


def _col(name: str, kind: SqlType, by: str | Source, source: str) -> Column:
    return Column(name=name, kind=kind, by={Kexec: by}, source=source)


_COLUMNS = (
    _col(
        *("action", "TEXT", lambda e, _: _ACTIONS.get(e.action, "")),
        "kexec.action: by_memory, by_file, unload",
    ),
    _col("file", "TEXT", lambda e, _: text(e.path), "kexec.path: of the kernel"),
    _col(
        *("file_device", "BIGINT", lambda e, _: signed(e.file_dev)),
        "kexec.file_dev; 0: from memory",
    ),
    _col("file_inode", "BIGINT", lambda e, _: signed(e.file_ino), "kexec.file_ino"),
    _col("cmdline", "TEXT", lambda e, _: text(e.cmdline), "kexec.cmdline: of the new kernel"),
    _col(
        *("kexec_flags", "BIGINT", lambda e, _: signed(e.kexec_flags)),
        "kexec.kexec_flags, as passed",
    ),
    *caller_columns(Kexec),
    _col("start_ntime", "BIGINT", "start_boot_ns", "head.start_boot_ns"),
)

KEXEC_EVENTS = Table(
    name="kkexec_events",
    about="Kernels given to kexec.",
    columns=(*_COLUMNS, *actor_columns((Kexec,)), *common_columns((Kexec,))),
    holds=(Kexec,),
)
