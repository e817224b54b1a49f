# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table knamespace_events: changes of mounts, of a process's root and of its namespaces."""

from _libosq import lib
from osq.columns import (
    Column,
    Context,
    Source,
    SqlType,
    SqlValue,
    Table,
    actor_columns,
    caller_columns,
    common_columns,
)
from osq.layout import enum_names
from osq.records import Namespace
from osq.values import signed, text

_ACTIONS = enum_names("osq_namespace_action", "OSQ_NAMESPACE_")
_KINDS = {
    lib.OSQ_NS_MNT: "mnt",
    lib.OSQ_NS_PID: "pid",
    lib.OSQ_NS_NET: "net",
    lib.OSQ_NS_UTS: "uts",
    lib.OSQ_NS_IPC: "ipc",
    lib.OSQ_NS_CGROUP: "cgroup",
    lib.OSQ_NS_TIME: "time",
}
_NUMBERS = ("mnt_ns", "net_ns", "uts_ns", "ipc_ns", "user_ns", "cgroup_ns", "pid_ns", "time_ns")


def _changed(event: Namespace, _: Context) -> SqlValue:
    return ",".join(name for bit, name in _KINDS.items() if event.changed & bit)


def _col(name: str, kind: SqlType, by: str | Source, source: str) -> Column:
    return Column(name=name, kind=kind, by={Namespace: by}, source=source)


_COLUMNS = (
    _col(
        *("action", "TEXT", lambda e, _: _ACTIONS.get(e.action, "")),
        "namespace.action: mount, move, umount, pivot, chroot, switch",
    ),
    _col("target", "TEXT", lambda e, _: text(e.path), "namespace.path: where, or the new root"),
    _col(
        *("source", "TEXT", lambda e, _: text(e.source)),
        "namespace.source: of mount as passed, else the file system's name",
    ),
    _col("fs", "TEXT", lambda e, _: text(e.fs), "namespace.fs: the kind of file system"),
    _col(
        *("device", "BIGINT", lambda e, _: signed(e.dev)),
        "namespace.dev: of the file system; 0: mount and switch",
    ),
    _col(
        *("mount_flags", "BIGINT", lambda e, _: signed(e.mount_flags)),
        "namespace.mount_flags: of mount and umount",
    ),
    _col("changed", "TEXT", _changed, "namespace.changed: mnt, pid, net, uts, ipc, cgroup, time"),
    *(_col(name, "BIGINT", name, f"namespace.{name}") for name in _NUMBERS),
    *caller_columns(Namespace),
    _col("start_ntime", "BIGINT", "start_boot_ns", "head.start_boot_ns"),
)

NAMESPACE_EVENTS = Table(
    name="knamespace_events",
    about="Mounts, roots and namespaces that change: mount, chroot, setns, unshare and so on.",
    columns=(*_COLUMNS, *actor_columns((Namespace,)), *common_columns((Namespace,))),
    holds=(Namespace,),
)
