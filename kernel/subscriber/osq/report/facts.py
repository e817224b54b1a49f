# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a report tells: the answers of the store to a few queries over one window of time.

The page shows each query beside its answer, so that an analyst can go on from there.
"""

from dataclasses import dataclass

from osq.columns import SqlValue
from osq.reader import Reader
from osq.report.window import Window

# More rows than these make a page that no browser shows at once; the page says what it leaves out.
MOST_PROCESS_ROWS = 20_000
MOST_ROWS = 2_000
_DEADLINE_S = 120.0

Row = dict[str, SqlValue]

PROCESSES = """SELECT time, ntime, event_type, pid, start_ntime, child_pid, child_start_ntime,
    parent, parent_start_ntime, path, cmdline, cwd, uid, euid, auid, exit_code, signal
FROM kprocess_events
WHERE time BETWEEN {begin} AND {end} AND event_type IN ('exec', 'fork', 'exit')
ORDER BY global_seq_num"""

BEFORE = """SELECT pid, start_ntime, path, cmdline, uid, max(global_seq_num) AS last
FROM kprocess_events
WHERE time < {begin} AND event_type = 'exec' AND pid IN (
    SELECT pid FROM kprocess_events WHERE time BETWEEN {begin} AND {end}
    UNION SELECT parent FROM kprocess_events WHERE time BETWEEN {begin} AND {end})
GROUP BY pid, start_ntime"""

CONNECTIONS = """SELECT min(time) AS first, max(time) AS last, count(*) AS times, action, path,
    uid, family, protocol, remote_address, remote_port,
    CASE action WHEN 'accept' THEN local_port WHEN 'listen' THEN local_port END AS port,
    CASE action WHEN 'listen' THEN local_address END AS address,
    socket, sum(NOT success) AS failed
FROM ksocket_events
WHERE time BETWEEN {begin} AND {end} AND action IN ('connect', 'accept', 'listen')
GROUP BY action, path, uid, family, protocol, remote_address, remote_port, port, address, socket
ORDER BY min(global_seq_num)"""

FILES = """SELECT min(time) AS first, max(time) AS last, count(*) AS times, operation, path,
    dest_path, executable, uid, category
FROM kfile_events
WHERE time BETWEEN {begin} AND {end} AND operation <> 'open'
GROUP BY operation, path, dest_path, executable, uid, category
ORDER BY min(global_seq_num)"""

# The last condition leaves out root that takes back what it could always take back.
ESCALATIONS = """SELECT time, action, pid, start_ntime, path, auid, old_uid, old_euid, old_suid,
    now_uid, now_euid, now_permitted & ~old_permitted AS gained,
    old_user_ns <> now_user_ns AS in_new_user_ns
FROM kcredential_events
WHERE time BETWEEN {begin} AND {end}
    AND (now_euid = 0 AND old_euid <> 0 OR now_permitted & ~old_permitted <> 0)
    AND NOT (old_euid = 0 AND old_suid = 0 AND old_user_ns = now_user_ns)
ORDER BY global_seq_num"""

INTERVALS = """SELECT begin_time, time, session, stored, dropped, reset, unknown, filtered,
    unwatched, complete, ending, note
FROM kosquery_stats
WHERE time >= {begin} AND begin_time <= {end}
ORDER BY time"""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A query and its rows; is_cut says that there are more rows than the page shows."""

    sql: str
    rows: tuple[Row, ...]
    is_cut: bool = False


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The answers to all queries of a report, over its window of time.

    before: the last programs, begun before the window, of processes that appear in it.
    intervals: the rows of kosquery_stats.
    """

    window: Window
    processes: Answer
    before: Answer
    connections: Answer
    files: Answer
    escalations: Answer
    intervals: Answer


def facts_of(reader: Reader, window: Window) -> Facts:
    """Run all queries of a report over a window, and return their answers.

    Raises: as Reader.query.
    """

    def ask(sql: str, most: int) -> Answer:
        # Both are numbers, and the page shows the query as it ran.
        text = sql.format(begin=window.begin_s, end=window.end_s)
        result = reader.query(f"{text}\nLIMIT {most + 1}", deadline_s=_DEADLINE_S)
        rows = [dict(zip(result.columns, values, strict=True)) for values in result.rows]
        return Answer(sql=text, rows=tuple(rows[:most]), is_cut=len(rows) > most)

    return Facts(
        window=window,
        processes=ask(PROCESSES, MOST_PROCESS_ROWS),
        before=ask(BEFORE, MOST_PROCESS_ROWS),
        connections=ask(CONNECTIONS, MOST_ROWS),
        files=ask(FILES, MOST_ROWS),
        escalations=ask(ESCALATIONS, MOST_ROWS),
        intervals=ask(INTERVALS, MOST_PROCESS_ROWS),
    )
