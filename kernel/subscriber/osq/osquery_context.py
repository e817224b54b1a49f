# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Translate osquery's JSON of constraints on a table into a SQL condition."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from osq.columns import SqlValue, Table

# osquery's operator numbers that have a SQL operator. osquery itself applies all others to the
# rows that it gets.
_OPERATORS = {2: "=", 4: ">", 8: "<=", 16: "<", 32: ">=", 65: "LIKE", 66: "GLOB"}
# A query with a condition on one of these chooses its own rows; see Request.drains.
_POSITIONS = frozenset({"time", "ntime", "eid", "global_seq_num"})


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request of osquery to a table.

    drains: the query has no condition on a position, so it gets the rows that it has not read yet.
    signature: a text that identifies the query; it does not change with a restart.
    """

    sql: str
    parameters: tuple[SqlValue, ...]
    columns: tuple[str, ...]
    drains: bool
    signature: str


def request_of(table: Table, context: Mapping[str, Any]) -> Request:
    """Return the request that a context of osquery describes."""
    types = {column.name: column.kind for column in table.columns}
    conditions: list[tuple[str, str, str]] = []
    for constraint in _objects(context.get("constraints")):
        name = str(constraint.get("name"))
        for one in _objects(constraint.get("list")):
            operator = _OPERATORS.get(int(one.get("op", 0)))
            if name in types and operator:
                conditions.append((name, operator, str(one.get("expr", ""))))
    columns = _columns(table, context)
    where = " AND ".join(_condition(name, operator) for name, operator, _ in conditions)
    return Request(
        sql=f"SELECT {', '.join((*columns, 'global_seq_num'))} FROM {table.name}"
        f" WHERE {where or '1'} ORDER BY global_seq_num",
        parameters=tuple(_value(types[name], name, text) for name, _, text in conditions),
        columns=columns,
        drains=not any(name in _POSITIONS for name, _, _ in conditions),
        signature=json.dumps([table.name, columns, sorted(conditions)]),
    )


def _objects(value: object) -> list[dict[str, Any]]:
    """Return the objects of a list; osquery writes an empty list as an empty string."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _columns(table: Table, context: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns that the query uses, or all columns when osquery does not list them."""
    names = tuple(column.name for column in table.columns)
    used = context.get("colsUsed")
    if not isinstance(used, list):
        return names
    return tuple(name for name in names if name in used) or names


def _condition(name: str, operator: str) -> str:
    # An eid is the key as text of a fixed width. Comparing the key instead uses the key's index.
    if name == "eid" and operator not in {"LIKE", "GLOB"}:
        return f"global_seq_num {operator} ?"
    return f"{name} {operator} ?"


def _value(kind: str, name: str, text: str) -> SqlValue:
    """Return a constraint's text in the type of its column, or as text if it is no number."""
    if kind == "TEXT" and name != "eid":
        return text
    try:
        return int(text)
    except ValueError:
        return text
