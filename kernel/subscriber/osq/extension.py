# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The tables as an osqueryd extension, through osquery's own Python package (thrift).

    osq-extension.ext --socket PATH --timeout S --interval S      (osqueryd's autoload does this)

The tables are marked as event tables, so osqueryd logs the rows of a scheduled query without
computing differences. A query without a condition on time, ntime, eid or global_seq_num gets each
row once: the position that it has read up to is stored by the query's table, columns and
conditions and survives restarts of osqueryd and of the extension. A query with a condition such as
`time > X` gets all matching rows every time.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import osquery
from osquery.extensions.ttypes import ExtensionResponse, ExtensionStatus

from osq import config, logs
from osq.columns import SqlValue, Table
from osq.cursors import Cursors
from osq.errors import OsqError
from osq.osquery_context import Request, request_of
from osq.reader import Reader
from osq.tables import TABLES

LOG = logging.getLogger(__name__)
VERSION = "0.1.0"
_DEADLINE_S = 30.0
_EVENT_BASED = "4"
_HIDDEN = "16"
_ADDITIONAL = "4"


@dataclass(frozen=True, kw_only=True)
class Source:
    """The store, and the positions of the queries that get each row once.

    Such a query gets at most `most_rows` rows at a time; its next call gets the rows after them.
    """

    store: Path
    cursors: Cursors
    most_rows: int


def routes(table: Table) -> list[dict[str, str]]:
    """Return osquery's description of a table: its columns, and that it contains events."""
    columns = [
        {
            "id": "column",
            "name": one.name,
            "type": one.kind,
            "op": _HIDDEN if one.hidden else _ADDITIONAL if one.name == "time" else "0",
        }
        for one in table.columns
    ]
    return [*columns, {"id": "attributes", "attributes": _EVENT_BASED}]


def answer(source: Source, table: Table, context: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the rows that answer one request of osquery, every value as text.

    Raises: OsqError when the store cannot answer.
    """
    cursors = source.cursors
    request = request_of(table, context)
    if not request.drains:
        with Reader(source.store) as reader:
            return _rows(reader, request, {})
    with Reader(source.store, new_only=True) as reader:
        after, newest = cursors.get(request.signature), reader.newest()[table.name]
        rows = _rows(reader, request, {table.name: (after, newest)}, most=source.most_rows)
        is_all = len(rows) < source.most_rows
        cursors.set(request.signature, newest if is_all else int(rows[-1]["global_seq_num"]))
        return rows


def _rows(
    reader: Reader,
    request: Request,
    windows: Mapping[str, tuple[int, int]],
    *,
    most: int | None = None,
) -> list[dict[str, str]]:
    sql = request.sql if most is None else f"{request.sql} LIMIT {most}"
    result = reader.query(sql, request.parameters, windows=windows, deadline_s=_DEADLINE_S)
    return [dict(zip(result.columns, map(_text, values), strict=True)) for values in result.rows]


def _text(value: SqlValue) -> str:
    return "" if value is None else str(value)


def plugin(table: Table, source: Source) -> type[Any]:
    """Return a class that osquery's package can register for a table."""

    class Plugin(osquery.TablePlugin):  # type: ignore[misc] # the package has no types
        """One table as a plugin of osquery."""

        def name(self) -> str:
            return table.name

        def columns(self) -> list[Any]:
            return [osquery.TableColumn(name=one.name, type=one.kind) for one in table.columns]

        def routes(self) -> list[dict[str, str]]:
            return routes(table)

        def generate(self, context: Mapping[str, Any]) -> list[dict[str, str]]:
            return answer(source, table, context)

        def call(self, context: Mapping[str, Any]) -> Any:
            """Answer osqueryd's call of this table; the answer to a failed call is an error.

            An empty answer instead would mean that there were no events.
            """
            try:
                return super().call(context)
            except OsqError as error:
                LOG.error("%s: %s %s", table.name, error.message, error.hint)
                status = ExtensionStatus(code=1, message=error.message)
                return ExtensionResponse(status=status, response=[])

    return Plugin


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the tables until osqueryd ends.

    Return an exit code when osqueryd could not be reached, or the configuration or the file with
    the positions cannot be used.
    """
    parser = argparse.ArgumentParser(description=__doc__, add_help=False)
    parser.add_argument("--config", type=Path)
    ours, osquerys = parser.parse_known_args(arguments)
    logs.log_to_stderr(for_journal=False, verbose=False)
    try:
        chosen = config.load(ours.config)
        source = Source(
            store=chosen.store,
            cursors=Cursors(chosen.store.with_name(chosen.store.name + ".cursors")),
            most_rows=chosen.extension_rows,
        )
    except OsqError as error:
        LOG.error("%s %s", error.message, error.hint)
        return error.exit_code
    for table in TABLES:
        osquery.register_plugin(plugin(table, source))
    # osquery's package reads --socket, --timeout, --interval and --verbose from sys.argv.
    sys.argv = [sys.argv[0], *osquerys]
    osquery.start_extension(name="osq", version=VERSION)
    LOG.error("osqueryd did not answer at its socket")
    return 1


if __name__ == "__main__":
    sys.exit(main())
