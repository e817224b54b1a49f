# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table kbpf_events: BPF programs that are loaded, opened and attached by bpf(2)."""

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
from osq.records import Bpf
from osq.values import text

_ACTIONS = enum_names("osq_bpf_action", "OSQ_BPF_")


def _col(name: str, kind: SqlType, by: str | Source, source: str) -> Column:
    return Column(name=name, kind=kind, by={Bpf: by}, source=source)


_COLUMNS = (
    _col(
        *("action", "TEXT", lambda e, _: _ACTIONS.get(e.action, "")),
        "bpf.action: load, open, attach",
    ),
    _col("command", "BIGINT", "command", "bpf.command: the first argument of bpf(2)"),
    _col("prog_id", "BIGINT", "prog_id", "bpf.prog_id, as bpftool shows it; 0: unknown"),
    _col("prog_type", "BIGINT", "prog_type", "bpf.prog_type: BPF_PROG_TYPE_*"),
    _col("attach_type", "BIGINT", "attach_type", "bpf.attach_type: of bpf_attach_type"),
    _col(
        *("target_fd", "BIGINT", "target_fd"),
        "bpf.target_fd: what it is attached to, or an interface",
    ),
    _col("insns", "BIGINT", "insns", "bpf.insns: how many instructions"),
    _col("tag", "TEXT", lambda e, _: bytes(e.tag).hex(), "bpf.tag, as bpftool shows it"),
    _col("name", "TEXT", lambda e, _: text(e.name), "bpf.name"),
    _col(
        *("target", "TEXT", lambda e, _: text(e.target)),
        "bpf.target: the function or raw tracepoint that it is for",
    ),
    *caller_columns(Bpf),
    _col("start_ntime", "BIGINT", "start_boot_ns", "head.start_boot_ns"),
)

BPF_EVENTS = Table(
    name="kbpf_events",
    about="BPF programs loaded, opened and attached by bpf(2).",
    columns=(*_COLUMNS, *actor_columns((Bpf,)), *common_columns((Bpf,))),
    holds=(Bpf,),
)
