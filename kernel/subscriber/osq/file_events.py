# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table kfile_events: events of the files that the configuration names."""

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
)
from osq.layout import enum_names
from osq.records import File
from osq.values import signed, text

ACTIONS = enum_names("osq_file_action", "OSQ_FILE_")
# In this table osquery's ids have the type text.
_IDS = ("uid", "gid", "auid", "euid", "egid", "fsuid", "fsgid", "suid", "sgid")


def watch_actions(*, with_opens: bool) -> int:
    """Return the actions on watched files to ask the driver for, as bits of osq.h.

    with_opens: whether opens are among them; all other actions are.
    """
    wanted = (number for number, name in ACTIONS.items() if with_opens or name != "open")
    return sum(1 << number for number in wanted)


def _partial(event: File, context: Context) -> SqlValue:
    program = context.programs.get(event.seq)
    return "true" if program is None or program.was_there else "false"


def _category(event: File, context: Context) -> SqlValue:
    return context.categories.get(event.seq)


def _id(name: str) -> Source:
    return lambda event, _: str(getattr(event, name))


# Texts that many rows have.
_SHARED = frozenset({"path", "dest_path", "category"})


def _col(
    name: str,
    kind: SqlType,
    by: str | Source,
    source: str,
    origin: str = "process_file_events",
) -> Column:
    return Column(
        name=name,
        kind=kind,
        by={File: by},
        source=source,
        origin=origin,
        shared=name in _SHARED,
    )


_OF_OSQUERY = (
    _col("operation", "TEXT", lambda e, _: ACTIONS.get(e.action, ""), "file.action"),
    _col("pid", "BIGINT", "pid", "head.pid"),
    _col("ppid", "BIGINT", "ppid", "head.ppid"),
    program_column(File, "executable", origin="process_file_events"),
    _col(
        "partial", "TEXT", _partial, "true: its program ran before the daemon did, or is not known"
    ),
    Column(
        name="cwd",
        kind="TEXT",
        source="empty: path is absolute already",
        origin="process_file_events",
    ),
    _col("path", "TEXT", lambda e, _: text(e.path), "file.path"),
    _col("dest_path", "TEXT", lambda e, _: text(e.dest_path), "file.dest_path, of a rename"),
    *(_col(name, "TEXT", _id(name), f"file.{name}") for name in _IDS),
)
_OWN = (
    _col("category", "TEXT", _category, "of file_paths in the configuration", "file_events"),
    _col("mode", "TEXT", lambda e, _: f"{e.mode:07o}", "file.mode, octal", "file_events"),
    _col("inode", "BIGINT", lambda e, _: signed(e.ino), "file.ino", "file_events"),
    _col("device", "BIGINT", lambda e, _: signed(e.dev), "file.dev: major << 32 | minor", "osq"),
    _col("owner_uid", "BIGINT", "owner_uid", "file.owner_uid", "osq"),
    _col("owner_gid", "BIGINT", "owner_gid", "file.owner_gid", "osq"),
    _col("nlink", "BIGINT", "nlink", "file.nlink, after the action", "osq"),
    _col("tid", "BIGINT", "tid", "head.tid", "osq"),
    _col("session_id", "BIGINT", "session", "file.session: audit's", "osq"),
    _col("start_ntime", "BIGINT", "start_boot_ns", "head.start_boot_ns", "osq"),
)

FILE_EVENTS = Table(
    name="kfile_events",
    about="What happened to files under the paths that the configuration names.",
    columns=(*_OF_OSQUERY, *_OWN, *actor_columns((File,)), *common_columns((File,))),
    holds=(File,),
)
