# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Compare the rows of the subscriber with those of the activity's own log."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from .log import Expected, Value

# An argument of a program is below 128 KiB, and so is the SQL of this many parts.
_PARTS = 40
# Each row of an answer: the number of what was expected, and its values as JSON.
Ask = Callable[[str], Sequence[tuple[int, str]]]


def differences(expected: Sequence[Expected], ask: Ask) -> list[str]:
    """Return what differs from what was expected, a line for each difference.

    ask: runs a query on the subscriber's store.
    """
    found: dict[int, list[list[Value]]] = defaultdict(list)
    for begin in range(0, len(expected), _PARTS):
        parts = [
            _query(number, one)
            for number, one in enumerate(expected[begin : begin + _PARTS], start=begin)
        ]
        for number, values in ask("\nUNION ALL ".join(parts)):
            found[number].append(json.loads(values))
    return [line for number, one in enumerate(expected) for line in _compared(one, found[number])]


def _query(number: int, one: Expected) -> str:
    """Return the SQL for the values of all rows that have the key of what is expected."""
    where = " AND ".join(f"{column} IS {_literal(value)}" for column, value in one.key.items())
    columns = ", ".join(one.values)
    return (
        f"SELECT {number} AS number, json_array({columns}) AS found"
        f" FROM {one.table} WHERE {where or 1}"
    )


def _literal(value: Value) -> str:
    """Return a value as SQL."""
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def _compared(one: Expected, rows: list[list[Value]]) -> Iterator[str]:
    """Yield the differences of one expected row."""
    name = f"{one.step}: {one.table} {dict(one.key)}"
    if len(rows) != 1:
        yield f"{name}: {len(rows)} rows instead of 1"
        return
    for (column, value), shown in zip(one.values.items(), rows[0], strict=True):
        if shown != value or type(shown) is not type(value):
            yield f"{name}: {column} is {shown!r} instead of {value!r}"
