# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A stand-in for osqueryd: the server side of osquery's own package, for one extension.

python3 osquery_manager.py SOCKET TABLE CONTEXT...

serves at SOCKET, waits for an extension, asks it for TABLE with each context, and prints a line of
JSON for each answer. Needs the package osquery, and nothing of this project.
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from osquery.extension_client import ExtensionClient
from osquery.extensions import ExtensionManager
from osquery.extensions.ttypes import ExtensionStatus
from thrift.protocol import TBinaryProtocol
from thrift.server import TServer
from thrift.transport import TSocket, TTransport

UUID = 4711
REGISTER_S = 60.0


class Manager(ExtensionManager.Iface):  # type: ignore[misc] # the package has no types
    """The answers of osqueryd to an extension that registers."""

    def __init__(self) -> None:
        self.registered: dict[str, Any] = {}

    def ping(self) -> ExtensionStatus:
        """Answer that the manager is alive."""
        return ExtensionStatus(code=0, message="OK", uuid=0)

    def registerExtension(self, info: Any, registry: Any) -> ExtensionStatus:  # noqa: N802
        """Store the tables that the extension offers, and return the extension's number."""
        self.registered = {"name": info.name, **registry}
        return ExtensionStatus(code=0, message="OK", uuid=UUID)


def serve(manager: Manager, socket: Path) -> None:
    """Serve the manager at a socket, in a thread that ends with the process."""
    server = TServer.TThreadedServer(
        ExtensionManager.Processor(manager),
        TSocket.TServerSocket(unix_socket=str(socket)),
        TTransport.TBufferedTransportFactory(),
        TBinaryProtocol.TBinaryProtocolFactory(),
        daemon=True,
    )
    threading.Thread(target=server.serve, daemon=True).start()


def extension_at(socket: Path, *, deadline_s: float) -> ExtensionClient:
    """Return a connection to the extension once the extension listens.

    Raises: TimeoutError.
    """
    end = time.monotonic() + deadline_s
    while not Path(f"{socket}.{UUID}").exists():
        if time.monotonic() > end:
            raise TimeoutError("no extension has come")
        time.sleep(0.05)
    connection = ExtensionClient(path=str(socket), uuid=UUID)
    if not connection.open(timeout=10):
        raise TimeoutError("the extension does not listen")
    return connection


def main(socket: Path, table: str, contexts: list[str]) -> None:
    """Send the requests of the command line to one extension after it has registered."""
    manager = Manager()
    serve(manager, socket)
    client = extension_at(socket, deadline_s=REGISTER_S).extension_client()
    for context in contexts:
        answer = client.call("table", table, {"action": "generate", "context": context})
        said = {"code": answer.status.code, "message": answer.status.message}
        print(json.dumps({**said, "rows": answer.response}), flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
