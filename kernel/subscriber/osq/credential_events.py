# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table kcredential_events: changes of a thread's ids, capabilities and groups."""

from collections.abc import Iterator

from _libosq import lib
from osq.columns import (
    Column,
    Context,
    Source,
    SqlType,
    SqlValue,
    Table,
    actor_columns,
    common_columns,
    program_column,
    shared_text,
)
from osq.layout import enum_names
from osq.records import Cred
from osq.values import signed

_ACTIONS = enum_names("osq_cred_action", "OSQ_CRED_")
_CHANGES = {
    lib.OSQ_CRED_UIDS: "uids",
    lib.OSQ_CRED_GIDS: "gids",
    lib.OSQ_CRED_CAPS: "caps",
    lib.OSQ_CRED_SECUREBITS: "securebits",
    lib.OSQ_CRED_USER_NS: "user_ns",
    lib.OSQ_CRED_GROUPS: "groups",
}
_IDS = ("uid", "euid", "suid", "fsuid", "gid", "egid", "sgid", "fsgid")
# The credentials of an exec change before its record is made, when the process runs the new
# program already.
_OWN = "kcredential_events_store"
_NEXT_PATH = f"""(
    SELECT CASE WHEN x.device = {_OWN}.program_device AND x.inode = {_OWN}.program_inode
        THEN x.path END
    FROM kprocess_events_store x
    WHERE x.event_type = 'exec' AND x.pid = {_OWN}.pid AND x.start_ntime = {_OWN}.start_ntime
        AND x.id > {_OWN}.id
    ORDER BY x.id LIMIT 1)"""
_OF_NEXT_EXEC = f"CASE WHEN {_OWN}.action = 'exec' THEN {shared_text(_NEXT_PATH)} END"
_CAPABILITIES = ("permitted", "effective", "inheritable", "bounding", "ambient")


def _changed(event: Cred, _: Context) -> SqlValue:
    return ",".join(name for bit, name in _CHANGES.items() if event.changed & bit)


def _col(name: str, kind: SqlType, by: str | Source, source: str) -> Column:
    return Column(name=name, kind=kind, by={Cred: by}, source=source)


def _set(name: str) -> Source:
    return lambda event, _: signed(getattr(event, name))


def _side(which: str) -> Iterator[Column]:
    """Yield the columns `old_*` or `now_*` (`which`): credentials before, or after a change."""
    for name in _IDS:
        yield _col(f"{which}_{name}", "BIGINT", f"{which}_{name}", f"cred.{which}.{name}")
    for name in _CAPABILITIES:
        full = f"{which}_{name}"
        yield _col(full, "BIGINT", _set(full), f"cred.{which}.{name}: bit n, capability n")
    yield _col(
        *(f"{which}_securebits", "INTEGER", f"{which}_securebits"),
        f"cred.{which}.securebits, as prctl(PR_GET_SECUREBITS)",
    )
    yield _col(
        *(f"{which}_user_ns", "BIGINT", f"{which}_user_ns"),
        f"cred.{which}.user_ns: inode number of the user namespace",
    )
    yield _col(
        *(f"{which}_groups", "INTEGER", f"{which}_groups"),
        f"cred.{which}.groups: how many supplementary groups",
    )


_COLUMNS = (
    _col(
        *("action", "TEXT", lambda e, _: _ACTIONS.get(e.action, "")),
        "cred.action: exec, call; either where the kernel does not say",
    ),
    _col("changed", "TEXT", _changed, "cred.changed: names of what differs, with commas"),
    _col("pid", "BIGINT", "pid", "head.pid"),
    _col("parent", "BIGINT", "ppid", "head.ppid"),
    _col("tid", "BIGINT", "tid", "head.tid"),
    program_column(Cred, "path", later=_OF_NEXT_EXEC),
    _col("auid", "BIGINT", "auid", "cred.auid; 4294967295 when not set"),
    _col("session_id", "BIGINT", "session", "cred.session: audit's"),
    *_side("old"),
    *_side("now"),
    _col("start_ntime", "BIGINT", "start_boot_ns", "head.start_boot_ns"),
)

CREDENTIAL_EVENTS = Table(
    name="kcredential_events",
    about="Credentials of a thread that have changed: from old_ to now_.",
    columns=(*_COLUMNS, *actor_columns((Cred,)), *common_columns((Cred,))),
    holds=(Cred,),
)
