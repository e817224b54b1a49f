# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Callbacks for Python programs: a function is called with each new row that matches.

    from osq.subscribe import Subscriber

    def on_shell(row):
        print(row["time"], row["uid"], row["cmdline"])

    subscriber = Subscriber(Path("/var/lib/osq/events.db"))
    subscriber.add(on_shell, "kprocess_events", where="path LIKE '%sh' AND uid = 0")
    subscriber.run(stop)

Rows come in the order in which they were recorded, each once. A program that stores the last eid
passes it as `after`, and gets the rows that came while it was not running.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from osq.columns import SqlValue
from osq.errors import QueryError
from osq.following import POLL_S
from osq.reader import Reader
from osq.stopping import Stop
from osq.tables import BY_NAME

_DEADLINE_S = 60.0
Row = Mapping[str, SqlValue]
Callback = Callable[[Row], None]


@dataclass(kw_only=True)
class _Subscription:
    callback: Callback
    table: str
    sql: str
    parameters: tuple[SqlValue, ...]
    read: int


class Subscriber:
    """Calls functions with the new rows of one store's tables.

    Raises: the errors of Reader; an exception of a callback ends `run`, and its row is delivered
        again later.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._subscriptions: list[_Subscription] = []

    def add(
        self,
        callback: Callback,
        table: str,
        *,
        where: str = "1",
        parameters: Sequence[SqlValue] = (),
        after: str | None = None,
    ) -> None:
        """Have a function called for each new row of a table that matches `where`.

        after: an eid; rows after it are new. Without it, rows from now on are new.
        Raises: QueryError for an unknown table or a wrong condition.
        """
        if table not in BY_NAME:
            raise QueryError(
                f"no such table: {table}", hint=f"the tables are {', '.join(BY_NAME)}"
            )
        sql = f"SELECT * FROM {table} WHERE {where} ORDER BY eid"
        with Reader(self._store, new_only=True) as reader:
            list(reader.query(sql, parameters, deadline_s=_DEADLINE_S).rows)
            read = reader.newest()[table] if after is None else int(after)
        self._subscriptions.append(
            _Subscription(
                callback=callback,
                table=table,
                sql=sql,
                parameters=tuple(parameters),
                read=read,
            )
        )

    def run(self, stop: Stop) -> None:
        """Call the functions for new rows until `stop` is set."""
        with Reader(self._store, new_only=True) as reader:
            while not stop.is_set:
                if not self._deliver(reader):
                    stop.wait(POLL_S)

    def _deliver(self, reader: Reader) -> int:
        """Call each function for its rows since the last call; return how many rows there were."""
        newest = reader.newest()
        return sum(_deliver_one(reader, one, newest[one.table]) for one in self._subscriptions)


def _deliver_one(reader: Reader, one: _Subscription, newest: int) -> int:
    if newest <= one.read:
        return 0
    window = {one.table: (one.read, newest)}
    answer = reader.query(one.sql, one.parameters, windows=window, deadline_s=_DEADLINE_S)
    count = 0
    for values in answer.rows:
        row = dict(zip(answer.columns, values, strict=True))
        one.callback(row)
        one.read = int(str(row["eid"]))
        count += 1
    one.read = newest
    return count
