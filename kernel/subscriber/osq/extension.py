# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The tables as an osqueryd extension, through osquery's own Python package (thrift).

    osq-extension.ext --socket PATH --timeout S --interval S      (osqueryd's autoload does this)

The tables are marked as event tables, so osqueryd logs the rows of a scheduled query without
computing differences. Every query sees all stored rows that fulfil its conditions. A query with
`cursor = 'NAME' AND run = (SELECT unix_time FROM time)` gets only rows that came after its last
run. docs/subscriber.md has the reasons.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import osquery
from osquery.extensions.ttypes import ExtensionResponse, ExtensionStatus

from osq import VERSION, config, logs
from osq.answers import Source, answer, columns, routes
from osq.columns import Table
from osq.cursors import Cursors, file_of
from osq.errors import OsqError
from osq.tables import TABLES

LOG = logging.getLogger(__name__)


def plugin(table: Table, source: Source) -> type[Any]:
    """Return the class by which osquery's Python package answers requests to a table."""

    class Plugin(osquery.TablePlugin):  # type: ignore[misc] # the package has no types
        """One table as a plugin of osquery."""

        def name(self) -> str:
            return table.name

        def columns(self) -> list[Any]:
            return [osquery.TableColumn(name=one.name, type=one.kind) for one in columns(table)]

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
                message = f"{error.message}; {error.hint}" if error.hint else error.message
                LOG.error("%s", message)
                status = ExtensionStatus(code=1, message=message)
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
            cursors=Cursors(file_of(chosen.store)),
            most_bytes=chosen.extension_bytes,
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
