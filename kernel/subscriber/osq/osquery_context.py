# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Translate osquery's JSON of a request to a table into SQL conditions on the store.

osquery applies every condition of a query to the rows that it gets, so a condition here may let in
too many rows, and never too few. A constraint without an exact or a wider condition in SQL is left
to osquery.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from osq.columns import SqlValue, Table
from osq.errors import QueryError

# Columns that only osquery sees: the two names of a reading position, and the mark of an answer
# that does not hold all rows.
CURSOR, RUN, CUT = "cursor", "run", "cut"
_EQUALS = 2
# osquery's numbers of operators (osquery/core/tables.h, and sqlite3.h for the last three), which
# are SQLite's.
_OPERATORS = {
    _EQUALS: "=",
    4: ">",
    8: "<=",
    16: "<",
    32: ">=",
    65: "LIKE",
    66: "GLOB",
    68: "!=",
    69: "IS NOT",
    72: "IS",
}
_PATTERNS = frozenset({"LIKE", "GLOB"})
_INTEGER = re.compile(r"-?[0-9]{1,30}", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]{1,30}\.[0-9]*(e[+-]?[0-9]{1,3})?", re.ASCII | re.IGNORECASE)
_GREATEST = (1 << 63) - 1
# osquery writes 15 digits of a decimal number, which are exact to 1 below this bound.
_EXACT_BELOW = 1e14

Condition = tuple[str, SqlValue]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request of osquery to a table.

    columns: the columns of the store that the query uses.
    conditions: SQL with one `?` each, and the value for it.
    is_constrained: osquery passed a constraint, whether or not it became a condition.
    cursor, run: the name of a reading position and of one run of its query, or both are "".
    shows_cut: the query uses the column that marks an answer without all rows.
    """

    table: Table
    columns: tuple[str, ...]
    conditions: tuple[Condition, ...]
    is_constrained: bool
    cursor: str
    run: str
    shows_cut: bool


def request_of(table: Table, context: Mapping[str, Any]) -> Request:
    """Return the request that a context of osquery describes.

    Raises: QueryError for a cursor without a run or a run without a cursor, and for one that is
    not compared by `=`.
    """
    used = _used(table, context)
    names = _position(table, context, used)
    return Request(
        table=table,
        columns=tuple(one.name for one in table.columns if one.name in used),
        conditions=tuple(_conditions(table, context)),
        is_constrained=any(_constraints(context)),
        cursor=names.get(CURSOR, ""),
        run=names.get(RUN, ""),
        shows_cut=CUT in used,
    )


def _used(table: Table, context: Mapping[str, Any]) -> frozenset[str]:
    """Return the columns that the query uses; all of them when osquery's request does not say."""
    used = context.get("colsUsed")
    if isinstance(used, list):
        return frozenset(str(name) for name in used)
    return frozenset({CUT, *(one.name for one in table.columns)})


def _constraints(context: Mapping[str, Any]) -> Iterator[tuple[str, int, str]]:
    """Yield column, operator's number and value of each constraint that osquery has passed."""
    for constraint in _objects(context.get("constraints")):
        for one in _objects(constraint.get("list")):
            yield str(constraint.get("name")), int(one.get("op", 0)), str(one.get("expr", ""))


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _position(table: Table, context: Mapping[str, Any], used: frozenset[str]) -> Mapping[str, str]:
    """Return the values that the query gives to `cursor` and `run`; empty if it uses neither.

    Raises: QueryError when it uses one without the other, or compares them by anything but `=`.
    """
    chosen = [one for one in _constraints(context) if one[0] in {CURSOR, RUN}]
    if not chosen and not used & {CURSOR, RUN}:
        return {}
    names = {name: text for name, operator, text in chosen if operator == _EQUALS}
    if len(chosen) != len(names) or set(names) != {CURSOR, RUN}:
        hint = f"write {CURSOR} = 'NAME' AND {RUN} = (SELECT unix_time FROM time)"
        raise QueryError(
            f"{table.name}: {CURSOR} and {RUN} are used together, and compared by = alone",
            hint=hint,
        )
    return names


def _conditions(table: Table, context: Mapping[str, Any]) -> Iterator[Condition]:
    kinds = {column.name: column.kind for column in table.columns}
    for name, number, text in _constraints(context):
        operator = _OPERATORS.get(number)
        if name not in kinds or operator is None:
            continue
        if kinds[name] == "TEXT":
            condition = _of_text(name, operator, text)
        elif operator in _PATTERNS:
            condition = (f"{name} {operator} ?", text)
        else:
            condition = _of_number(name, operator, text)
        if condition:
            yield condition


def _of_text(name: str, operator: str, text: str) -> Condition | None:
    """Return a condition on a column of text that lets in at least the rows that osquery wants.

    None: the operator has no such condition. An empty value is NULL in the store and '' in
    osquery. osquery does not pass the collation of a comparison, so an equal text may differ in
    case or in spaces at its end.
    """
    if operator in {"=", "IS"}:
        if name == "eid":
            return ("global_seq_num = ?", int(text)) if _is_key(text) else None
        return f"rtrim({name}) COLLATE NOCASE = rtrim(?)", text
    if operator in {"!=", "IS NOT"}:
        return f"coalesce({name}, '') != ?", text
    return (f"coalesce({name}, '') {operator} ?", text) if operator in _PATTERNS else None


def _is_key(text: str) -> bool:
    return bool(_INTEGER.fullmatch(text)) and abs(int(text)) <= _GREATEST


def _of_number(name: str, operator: str, text: str) -> Condition | None:
    """Return a condition on a column of whole numbers that lets in at least the wanted rows.

    None: the text is no number, or there is no such condition for the operator.
    """
    if _is_key(text):
        return f"{name} {operator} ?", int(text)
    if not _DECIMAL.fullmatch(text) or abs(float(text)) >= _EXACT_BELOW:
        return None
    if operator in {">", ">="}:
        return f"{name} >= ?", math.floor(float(text)) - 1
    if operator in {"<", "<="}:
        return f"{name} <= ?", math.ceil(float(text)) + 1
    return None
