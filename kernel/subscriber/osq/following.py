# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Queries that follow the store: the same SQL is repeated over new rows."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from osq.columns import SqlValue
from osq.reader import Reader, Result
from osq.stopping import Stop

POLL_S = 0.1


def follow(
    store: Path,
    sql: str,
    parameters: Sequence[SqlValue] = (),
    *,
    stop: Stop,
    deadline_s: float,
    read: Mapping[str, int] | None = None,
) -> Iterator[Result]:
    """Yield an answer to the query over the new rows alone, each time that any table has new rows.

    The answer is empty if the query matches none of them. It ends when `stop` is set. deadline_s
    bounds each single answer.
    read: the key up to which the caller has read, by table; without it, only rows that are stored
    from now on are new.
    Raises: as Reader and its query.
    """
    with Reader(store, new_only=True) as reader:
        position = reader.newest() if read is None else dict(read)
        # Wrong SQL must be reported now and not with the first event.
        list(reader.query(sql, parameters, deadline_s=deadline_s).rows)
        while not stop.is_set:
            newest = reader.newest()
            windows = {name: (position.get(name, 0), key) for name, key in newest.items()}
            if all(after == up_to for after, up_to in windows.values()):
                stop.wait(POLL_S)
                continue
            yield reader.query(sql, parameters, windows=windows, deadline_s=deadline_s)
            position = newest
