# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The program of a process's parent, as a reader of the store finds it.

A record names its parent by pid and start time, and by the device and inode of the file that the
parent ran at that moment. The path and the arguments are in an earlier record: the last exec of
the parent, or, if it has none, of the process that it is a fork of. They are used only where that
file is the one of the record. So a program whose exec was not recorded is NULL, and not the
program before it.
"""

from osq.columns import SEQ_BITS, Column, shared_text

_STORE = "kprocess_events_store"
# The conditions on event_type let SQLite use the indexes, which have only such rows.
INDEXES = tuple(
    f"CREATE INDEX kprocess_events_{kind} ON {_STORE} ({columns}) WHERE event_type = '{kind}'"
    for kind, columns in (
        ("exec", "pid, start_ntime"),
        ("fork", "child_pid, child_start_ntime"),
    )
)
_OWN_EXEC = "x.event_type = 'exec' AND x.pid = up.pid AND x.start_ntime = up.start_ntime"


def _of_parent(column: str, condition: str = "") -> str:
    """Return the SQL for `column` of the exec that started the program of a row's parent.

    up: the parent, or, as long as it has run no program of its own, the process that it was forked
    from. The exec is used only if the row says that the parent runs that exec's file.
    condition: a further condition on the exec.
    """
    number = f"""(
    WITH RECURSIVE up (level, pid, start_ntime, at) AS (
        SELECT 0, {_STORE}.parent, {_STORE}.parent_start_ntime, {_STORE}.id
        UNION ALL
        SELECT up.level + 1, f.pid, f.start_ntime, f.id FROM up CROSS JOIN {_STORE} f
        WHERE f.event_type = 'fork'
            AND f.child_pid = up.pid AND f.child_start_ntime = up.start_ntime
            AND NOT EXISTS (SELECT 1 FROM {_STORE} x WHERE {_OWN_EXEC} AND x.id <= up.at)
    )
    SELECT CASE WHEN x.device = {_STORE}.parent_device AND x.inode = {_STORE}.parent_inode
        {condition} THEN x.{column} END
    FROM up CROSS JOIN {_STORE} x
    WHERE {_OWN_EXEC} AND x.id <= up.at
    ORDER BY up.level, x.id DESC LIMIT 1)"""
    # A row without a parent need not search.
    return f"CASE WHEN {_STORE}.parent_start_ntime IS NOT NULL THEN {shared_text(number)} END"


# The same file may have been started again, with other arguments, by an exec that was lost, or
# between two sessions of the daemon.
_NOTHING_LOST = f"""AND x.id >> {SEQ_BITS} = {_STORE}.id >> {SEQ_BITS}
        AND NOT EXISTS (
            SELECT 1 FROM kloss_events_store l
            WHERE l.id > x.id AND l.id <= {_STORE}.id AND l.types LIKE '%exec%'
        )"""

PARENT_COLUMNS = (
    Column(
        name="parent_path",
        kind="TEXT",
        select=_of_parent("path"),
        source="path of the exec that made the parent's program; NULL: that exec is not stored",
    ),
    Column(
        name="parent_cmdline",
        kind="TEXT",
        select=_of_parent("cmdline", _NOTHING_LOST),
        source="cmdline of the same exec; NULL, too, if an exec after it may have been lost",
    ),
)
