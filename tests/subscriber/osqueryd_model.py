# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A model of osqueryd: it registers a real extension, and asks it over the real thrift socket.

    python3 -m tests.subscriber.osqueryd_model SOCKET

serves one extension, runs each line of its input as SQL, and prints a line of JSON for each. It
needs apsw and the package osquery, and nothing of this project but osquery_tables, which models
the virtual tables. This module models these functions of osquery (commit a5b14f63d98c):

osquery/extensions/extensions.cpp, osquery/registry/registry_interface.cpp
    callExtension: one connection for each call. addExternal: the tables are attached from the
        routes of the registration, without a call.
osquery/sql/sqlite_util.cpp
    SQLInternal: a query is event based if one of the tables that it planned is.
osquery/dispatcher/scheduler.cpp, osquery/core/query.cpp
    launchQuery, addNewEvents, addNewResults: a snapshot logs all rows; a differential query that
        is event based logs all rows, and any other logs the differences as a multiset.

Not modelled: the watchdog, decorators, and the buffers of loggers.
"""

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import apsw
from osquery.extension_client import ExtensionClient
from osquery.extensions import ExtensionManager
from osquery.extensions.ttypes import ExtensionStatus
from thrift.protocol import TBinaryProtocol
from thrift.server import TServer
from thrift.transport import TSocket, TTransport

from tests.subscriber.osquery_tables import Module, Row, Table, Value, table_of

UUID = 4711
REGISTER_S = 60.0
CALL_S = 300
EVENT_BASED = 4


class QueryFailed(Exception):
    """An extension answered a call with an error, which ends the query."""


class _Manager(ExtensionManager.Iface):  # type: ignore[misc] # the package has no types
    """The answers of osqueryd to an extension that registers."""

    def __init__(self) -> None:
        self.name = ""
        self.registry: dict[str, Any] = {}

    def ping(self) -> ExtensionStatus:
        """Answer that the manager is alive."""
        return ExtensionStatus(code=0, message="OK", uuid=0)

    def registerExtension(self, info: Any, registry: Any) -> ExtensionStatus:  # noqa: N802
        """Store the tables that the extension offers, and return the extension's number."""
        self.name, self.registry = info.name, registry
        return ExtensionStatus(code=0, message="OK", uuid=UUID)


class Osqueryd:
    """osqueryd at a socket, for one extension.

    clock: what osquery's table `time` has as unix_time.
    default_index: --extensions_default_index.
    calls, rows: how many calls there were, and how many rows they got.
    before_call: called with the number of each call, from 1.
    """

    def __init__(
        self,
        socket: Path,
        *,
        clock: Callable[[], int] = lambda: int(time.time()),
        default_index: bool = True,
    ) -> None:
        self._socket = socket
        self._clock = clock
        self._default_index = default_index
        self._manager = _Manager()
        self.calls = self.rows = 0
        self.before_call: Callable[[int], object] = lambda _: None
        server = TServer.TThreadedServer(
            ExtensionManager.Processor(self._manager),
            TSocket.TServerSocket(unix_socket=str(socket)),
            TTransport.TBufferedTransportFactory(),
            TBinaryProtocol.TBinaryProtocolFactory(),
            daemon=True,
        )
        threading.Thread(target=server.serve, daemon=True).start()

    @property
    def registry(self) -> Mapping[str, Sequence[Row]]:
        """The routes of each table that the extension has registered."""
        tables: Mapping[str, Sequence[Row]] = self._manager.registry.get("table", {})
        return tables

    def wait_for_extension(self) -> None:
        """Wait until the extension listens at its own socket.

        Raises: TimeoutError.
        """
        end = time.monotonic() + REGISTER_S
        while not Path(f"{self._socket}.{UUID}").exists():
            if time.monotonic() > end:
                raise TimeoutError("no extension has come")
            time.sleep(0.02)

    def connect(self) -> "Connection":
        """Return a connection with every table, as the schedule and each live query have one."""
        return Connection(self._tables(), default_index=self._default_index)

    def _tables(self) -> list[Table]:
        clock = [{"id": "column", "name": "unix_time", "type": "INTEGER", "op": "0"}]
        return [
            table_of("time", clock, lambda _: [{"unix_time": str(self._clock())}]),
            *(
                table_of(name, routes, self._generate(name))
                for name, routes in self.registry.items()
            ),
        ]

    def _generate(self, table: str) -> Callable[[str], Sequence[Row]]:
        return lambda context: self.call(table, {"action": "generate", "context": context})

    def call(self, table: str, request: Mapping[str, str]) -> Sequence[Row]:
        """Return the extension's answer to one call, over a connection of its own.

        Raises: QueryFailed.
        """
        self.calls += 1
        self.before_call(self.calls)
        client = ExtensionClient(path=str(self._socket), uuid=UUID)
        if not client.open(timeout=CALL_S):
            raise QueryFailed("the extension does not listen")
        try:
            answer = client.extension_client().call("table", table, dict(request))
        finally:
            client.close()
        if answer.status.code != 0:
            raise QueryFailed(answer.status.message)
        rows: Sequence[Row] = answer.response
        self.rows += len(rows)
        return rows


class Connection:
    """An SQLite connection of osqueryd with all tables."""

    def __init__(self, tables: Sequence[Table], *, default_index: bool) -> None:
        self._tables = tables
        self._database = apsw.Connection(":memory:", statementcachesize=0)
        for one in tables:
            is_indexed = default_index and one.name != "time"
            # apsw's protocol lists methods that a module may have as if it must have them.
            module = cast("apsw.VTModule", Module(one, default_index=is_indexed))
            self._database.create_module(one.name, module, use_bestindex_object=True)
            self._database.execute(f"CREATE VIRTUAL TABLE temp.{one.name} USING {one.name}")

    def query(self, sql: str) -> list[dict[str, Value]]:
        """Return the rows of one query, by column.

        Raises: QueryFailed; apsw.Error for wrong SQL.
        """
        for one in self._tables:
            one.plans.clear()
        names: list[str] = []

        def keep_names(cursor: apsw.Cursor, _sql: str, _bindings: object) -> bool:
            names.extend(name for name, _ in cursor.get_description())
            return True

        cursor = self._database.cursor()
        cursor.exec_trace = keep_names
        rows = cursor.execute(sql).fetchall()
        return [dict(zip(names, row, strict=True)) for row in rows]

    @property
    def is_event_based(self) -> bool:
        """Whether the last query planned a table of events."""
        return any(one.plans and one.attributes & EVENT_BASED for one in self._tables)


class Schedule:
    """One scheduled query; `log` has the rows of each run's log line."""

    def __init__(self, connection: Connection, sql: str, *, is_snapshot: bool = False) -> None:
        self._connection = connection
        self._sql = sql
        self._is_snapshot = is_snapshot
        self._before: Counter[tuple[Value, ...]] = Counter()
        self.log: list[list[tuple[Value, ...]]] = []

    def run(self) -> None:
        """Run the query once, and log what osqueryd would log as added."""
        rows = [tuple(row.values()) for row in self._connection.query(self._sql)]
        if self._is_snapshot or self._connection.is_event_based:
            self.log.append(rows)
            return
        now = Counter(rows)
        self.log.append(list((now - self._before).elements()))
        self._before = now


def main(socket: Path) -> None:
    """Run each line of the input as SQL for one extension after it has registered."""
    osqueryd = Osqueryd(socket)
    osqueryd.wait_for_extension()
    for line in sys.stdin:
        try:
            answer: dict[str, object] = {"rows": osqueryd.connect().query(line)}
        except QueryFailed as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    main(Path(sys.argv[1]))
