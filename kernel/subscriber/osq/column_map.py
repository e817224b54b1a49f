# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Write the documentation page of the tables: every column with its type and its source."""

from collections.abc import Iterable, Iterator

from osq.columns import Table


def markdown(tables: Iterable[Table]) -> Iterator[str]:
    """Yield the generated lines of docs/subscriber-tables.md: one table for each SQL table."""
    for table in tables:
        yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    yield f"## {table.name}"
    yield ""
    yield table.about
    yield ""
    yield "| column | type | known from | source |"
    yield "|---|---|---|---|"
    for one in table.columns:
        name = f"{one.name} (hidden)" if one.hidden else one.name
        source = one.source.replace("|", "\\|")
        yield f"| {name} | {one.kind} | {one.origin} | {source} |"
    yield ""
