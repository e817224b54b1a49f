# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A model of osquery's virtual tables: which conditions of a query reach an extension, and how.

It models these functions of osquery (commit a5b14f63d98c of August 2026):

osquery/sql/virtual_table.cpp
    xCreate: the columns, their options and aliases come from the routes of the registration. With
        --extensions_default_index (the default) a column without any option has INDEX.
    xBestIndex, sensibleComparison: a constraint is passed if it is usable, its column has INDEX,
        ADDITIONAL or REQUIRED, and it is no order of text. The costs are 1 and 1,000,000. None is
        marked `omit`, so SQLite tests every condition again. Collations are not asked for.
        SQLite offers LIMIT as operator 73 of column 0. colsUsed names the targets of aliases.
    xFilter: values are passed as text; a constraint with NULL or an empty text is left out. The
        answer is held as a whole; an answer with a status other than 0 fails the query.
osquery/core/tables.cpp
    columnDefinition: the columns with INDEX and ADDITIONAL are the primary key of the declaration,
        and an extension's table keeps its rowid.
    setRequestFromContext, ConstraintList::serialize: the JSON; `op` is a number, and every column
        has an entry, in the order of their names.
osquery/sql/dynamic_table_row.cpp
    get_column: a missing or empty value is NULL for a number, and '' for a text. INTEGER has 32
        bits. An alias has the value of its target. get_rowid: `rowid` of the row, or its index.

Not modelled: IN lists that are passed as a whole, which only columns with OPTIMIZED get (a table
with that option is refused); user based and cacheable tables; writing.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import apsw

# osquery/core/sql/column.h, ColumnOptions
INDEX, REQUIRED, ADDITIONAL, OPTIMIZED, HIDDEN = 1, 2, 4, 8, 16
_MAX_COST = 1_000_000.0
_ORDERS = frozenset({4, 8, 16, 32})
# SQLite's colUsed has a bit for each of the first 63 columns, and one for all others.
_LAST_BIT = 63

Value = int | float | str | None
Row = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table, with osquery's bits of options."""

    name: str
    kind: str
    options: int


@dataclass(kw_only=True)
class Table:
    """A table as its routes describe it, and the constraints of its plans.

    aliases: for each alias, the number of the column that it stands for.
    """

    name: str
    columns: list[Column]
    aliases: dict[str, int]
    attributes: int
    generate: Callable[[str], Sequence[Row]]
    plans: list[tuple[list[tuple[str, int]], list[str], int]] = field(default_factory=list)

    # apsw's names for the methods of a virtual table
    def BestIndexObject(self, index: apsw.IndexInfo) -> bool:  # noqa: N802
        """Choose the constraints that are passed, as xBestIndex does."""
        constraints: list[tuple[str, int]] = []
        cost = _MAX_COST
        for number in range(index.nConstraint):
            column = index.get_aConstraint_iColumn(number)
            if not index.get_aConstraint_usable(number) or not 0 <= column < len(self.columns):
                continue
            one, operator = self.columns[column], index.get_aConstraint_op(number)
            if one.kind == "TEXT" and operator in _ORDERS:
                cost += 10
                continue
            if not one.options & (INDEX | ADDITIONAL | REQUIRED):
                continue
            cost = 1.0
            constraints.append((one.name, operator))
            index.set_aConstraintUsage_argvIndex(number, len(constraints))
        used, bits = self._used(index.colUsed)
        index.idxNum, index.estimatedCost = len(self.plans), cost
        self.plans.append((constraints, used, bits))
        return True

    def _used(self, bits: set[int]) -> tuple[list[str], int]:
        """Return the names of the used columns, and their bits; an alias counts as its target.

        The bit of all columns from the 64th on is cleared by the first alias there, as in osquery.
        """
        names: set[str] = set()
        left = set(bits)
        for number, column in enumerate(self.columns):
            if min(number, _LAST_BIT) not in left:
                continue
            target = self.aliases.get(column.name, number)
            if target != number:
                left.discard(min(number, _LAST_BIT))
                left.add(min(target, _LAST_BIT))
            names.add(self.columns[target].name)
        return sorted(names), sum(1 << bit for bit in left)

    def Open(self) -> "_Cursor":  # noqa: N802
        """Return a scan of the table."""
        return _Cursor(self)

    def Disconnect(self) -> None:  # noqa: N802
        """Do nothing: the tables live as long as the connection."""

    Destroy = Disconnect

    def context(self, plan: int, values: Sequence[object]) -> str:
        """Return the JSON of a request, as xFilter and setRequestFromContext make it."""
        constraints, used, bits = self.plans[plan]
        by_name: dict[str, list[dict[str, object]]] = {one.name: [] for one in self.columns}
        for (name, operator), value in zip(constraints, values, strict=True):
            if text := _text(value):
                by_name[name].append({"op": operator, "expr": text})
        kinds = {one.name: one.kind for one in self.columns}
        entries = [
            {"name": name, "list": by_name[name], "affinity": kinds[name]}
            for name in sorted(by_name)
        ]
        return json.dumps({"constraints": entries, "colsUsed": used, "colsUsedBitset": bits})


class _Cursor:
    """One scan of a table, as apsw calls it: xFilter, then xNext until xEof."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._rows: Sequence[Row] = ()
        self._at = 0

    def Filter(self, plan: int, _name: str | None, values: Sequence[object]) -> None:  # noqa: N802
        self._rows, self._at = self._table.generate(self._table.context(plan, values)), 0

    def Eof(self) -> bool:  # noqa: N802
        return self._at >= len(self._rows)

    def Next(self) -> None:  # noqa: N802
        self._at += 1

    def Rowid(self) -> int:  # noqa: N802
        return int(self._rows[self._at].get("rowid", self._at))

    def Column(self, number: int) -> Value:  # noqa: N802
        if number < 0:
            return self.Rowid()
        column = self._table.columns[number]
        column = self._table.columns[self._table.aliases.get(column.name, number)]
        return _value(column.kind, self._rows[self._at].get(column.name, ""))

    def Close(self) -> None:  # noqa: N802
        self._rows = ()


def _text(value: object) -> str:
    """Return a value as sqlite3_value_text does, and "" for what xFilter leaves out."""
    if value is None:
        return ""
    if isinstance(value, float):
        text = f"{value:.15g}"
        return text if set(text) & set(".en") else f"{text}.0"
    return value.decode() if isinstance(value, bytes) else str(value)


def _value(kind: str, text: str) -> Value:
    """Return the value that SQLite gets for a text of an answer."""
    if kind == "TEXT":
        return text
    if not text:
        return None
    # strtol of base 0 would take a leading 0 for octal; int() refuses it.
    number = int(text, 0)
    return (number + (1 << 31)) % (1 << 32) - (1 << 31) if kind == "INTEGER" else number


def _declaration(table: Table) -> str:
    """Return the CREATE TABLE of columnDefinition for a table of an extension."""
    aliased = {name: table.columns[target].kind for name, target in table.aliases.items()}
    parts = []
    for one in table.columns:
        hidden = " HIDDEN" if one.options & HIDDEN else ""
        parts.append(f"`{one.name}` {aliased.get(one.name, one.kind)}{hidden}")
    keys = [one.name for one in table.columns if one.options & (INDEX | ADDITIONAL)]
    if keys and not any(one.options & INDEX for one in table.columns):
        keys = [one.name for one in table.columns]
    if keys:
        parts.append(f"PRIMARY KEY ({', '.join(f'`{name}`' for name in keys)})")
    return f"CREATE TABLE {table.name}({', '.join(parts)})"


def table_of(name: str, routes: Sequence[Row], generate: Callable[[str], Sequence[Row]]) -> Table:
    """Return a table from its routes, as xCreate reads them."""
    columns: list[Column] = []
    aliases: dict[str, int] = {}
    attributes = 0
    for route in routes:
        if route["id"] == "column":
            options = int(route.get("op", "0"))
            assert not options & OPTIMIZED, f"{route['name']}: OPTIMIZED is not modelled"
            columns.append(Column(name=route["name"], kind=route["type"], options=options))
        elif route["id"] == "columnAlias":
            names = [one.name for one in columns]
            aliases[route["name"]] = names.index(route["target"])
            columns.append(Column(name=route["name"], kind="UNKNOWN", options=HIDDEN))
        elif route["id"] == "attributes":
            attributes = int(route["attributes"])
    return Table(
        name=name, columns=columns, aliases=aliases, attributes=attributes, generate=generate
    )


class Module:
    """The module of one table, as apsw needs it to create the virtual table."""

    def __init__(self, table: Table, *, default_index: bool) -> None:
        self._declaration = _declaration(table)
        self._table = table
        if default_index:
            table.columns = [
                one if one.options else Column(name=one.name, kind=one.kind, options=INDEX)
                for one in table.columns
            ]

    def Create(self, *_: object) -> tuple[str, Table]:  # noqa: N802
        """Return what SQLite declares, and the table."""
        return self._declaration, self._table

    Connect = Create
