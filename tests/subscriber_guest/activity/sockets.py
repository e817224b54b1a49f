# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Steps of sockets: TCP, UDP, a question to a name server, UNIX sockets, curl."""

import errno
import os
import select
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer

from . import facts
from .children import Start, start
from .log import Log, Row, Value

SOCKETS = "ksocket_events"
_SO_COOKIE = 57
_DEADLINE_S = 30.0
_V4, _V6 = "127.0.0.1", "::1"
_OUTCOME = 0x800
_SENT = b"0123456789"


def cookie(one: socket.socket) -> int:
    """Return the kernel's number of a socket."""
    return int(struct.unpack("=Q", one.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8))[0])


def expect(log: Log, action: str, number: int, **values: Value) -> None:
    """Log one successful call of this process on a socket; values may say otherwise."""
    ids: Row = {name: value for name, value in facts.ids().items() if name[0] in "uge"}
    plain: Row = {
        **ids,
        **facts.audit(),
        "pid": os.getpid(),
        "path": os.path.realpath("/proc/self/exe"),
        "status": "succeeded",
        "success": 1,
        "error": 0,
    }
    log.expect(SOCKETS, {"action": action, "cookie": number}, **{**plain, **values})


def of(family: int, kind: int, protocol: int) -> dict[str, Value]:
    """Return what a row has of the kind of a socket."""
    return {"family": int(family), "socktype": int(kind), "protocol": protocol}


TCP = of(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
UDP = of(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP)


def tcp(log: Log) -> None:
    """Connect by TCP over IPv4."""
    _connect(log, socket.AF_INET, _V4)


def tcp_over_ipv6(log: Log) -> None:
    """Connect by TCP over IPv6."""
    _connect(log, socket.AF_INET6, _V6)


def _connect(log: Log, family: int, address: str) -> None:
    """Let this process connect to itself, send ten bytes, and close both ends."""
    kind = of(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    server, client = (socket.socket(family, socket.SOCK_STREAM) for _ in range(2))
    server.bind((address, 0))
    port = server.getsockname()[1]
    listening: Row = {**kind, "local_address": address, "local_port": port}
    expect(log, "bind", cookie(server), **listening)
    server.listen(5)
    expect(log, "listen", cookie(server), backlog=5, **listening)
    client.connect((address, port))
    here: Row = {**kind, "local_address": address, "local_port": client.getsockname()[1]}
    there: Row = {"remote_address": address, "remote_port": port}
    expect(log, "connect", cookie(client), **here, **there)
    accepted, _ = server.accept()
    back: Row = {"remote_address": address, "remote_port": client.getsockname()[1]}
    expect(log, "accept", cookie(accepted), **listening, **back)
    client.sendall(_SENT)
    accepted.recv(len(_SENT), socket.MSG_WAITALL)
    numbers = {one: cookie(one) for one in (client, accepted, server)}
    client.close()
    # The end of the stream: all bytes of the client have been confirmed.
    accepted.recv(1)
    accepted.close()
    server.close()
    expect(log, "close", numbers[client], **here, **there)
    expect(log, "close", numbers[accepted], **listening, **back)
    expect(log, "close", numbers[server], **listening)


def tcp_that_is_refused(log: Log) -> None:
    """Connect to a port on which nobody listens."""
    with socket.socket() as server, socket.socket() as client:
        server.bind((_V4, 0))
        port = server.getsockname()[1]
        if client.connect_ex((_V4, port)) != errno.ECONNREFUSED:
            raise RuntimeError("somebody listens")
        failed: Row = {"status": "failed", "success": 0, "error": int(errno.ECONNREFUSED)}
        there: Row = {"remote_address": _V4, "remote_port": port}
        expect(log, "connect", cookie(client), **TCP, **there, **failed)


def tcp_that_does_not_wait(log: Log) -> None:
    """Connect without waiting: the outcome is a row of its own."""
    with socket.socket() as server, socket.socket() as client:
        server.bind((_V4, 0))
        server.listen(1)
        client.settimeout(0)
        there: Row = {"remote_address": _V4, "remote_port": server.getsockname()[1]}
        if client.connect_ex(server.getsockname()) != errno.EINPROGRESS:
            raise RuntimeError("connect has waited")
        select.select([], [client], [], _DEADLINE_S)
        number = cookie(client)
        for status, outcome in (("in_progress", 0), ("succeeded", _OUTCOME)):
            error = 0 if outcome else int(errno.EINPROGRESS)
            key: Row = {"action": "connect", "cookie": number, "status": status}
            values: Row = {f"flags & {_OUTCOME}": outcome, "pid": os.getpid(), "error": error}
            log.expect_all(SOCKETS, key, {**values, **TCP, **there})


def a_port_in_use(log: Log) -> None:
    """Bind two sockets to one port."""
    with socket.socket() as first, socket.socket() as second:
        first.bind((_V4, 0))
        port = first.getsockname()[1]
        try:
            second.bind((_V4, port))
        except OSError as error:
            failed: Row = {"status": "failed", "success": 0, "error": int(error.errno or 0)}
            own: Row = {"local_address": _V4, "local_port": port}
            expect(log, "bind", cookie(second), **TCP, **own, **failed)
            return
    raise RuntimeError("both have the port")


def udp(log: Log) -> None:
    """Connect by UDP."""
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.connect((_V4, 9))
        own: Row = {"local_address": _V4, "local_port": client.getsockname()[1]}
        there: Row = {"remote_address": _V4, "remote_port": 9}
        expect(log, "connect", cookie(client), **UDP, **own, **there)


def a_question_to_a_name_server(log: Log) -> None:
    """Ask a name server of this step for a name, as a resolver does."""
    question = struct.pack("!6H", 4711, 0x0100, 1, 0, 0, 0) + b"\3osq\4test\0" + b"\0\1\0\1"
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\xc0\0\2\1"
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind((_V4, 53))
        expect(log, "bind", cookie(server), **UDP, local_address=_V4, local_port=53)
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect((_V4, 53))
            client.send(question)
            asked, whence = server.recvfrom(512)
            head = struct.pack("!6H", 4711, 0x8180, 1, 1, 0, 0)
            server.sendto(head + asked[12:] + answer, whence)
            if not client.recv(512).endswith(bytes([192, 0, 2, 1])):
                raise RuntimeError("the answer is another one")
            there: Row = {"remote_address": _V4, "remote_port": 53}
            expect(log, "connect", cookie(client), **UDP, local_port=whence[1], **there)


def _unix(log: Log, name: str, shown: str) -> None:
    """Connect by a UNIX socket with this name."""
    kind = of(socket.AF_UNIX, socket.SOCK_STREAM, 0)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(name)
        expect(log, "bind", cookie(server), **kind, socket=shown)
        server.listen(3)
        expect(log, "listen", cookie(server), **kind, socket=shown, backlog=3)
        client.connect(name)
        expect(log, "connect", cookie(client), **kind, socket=shown, remote_socket=shown)


def a_unix_socket(log: Log) -> None:
    """Connect by a UNIX socket in a file."""
    path = str(log.work / "socket")
    _unix(log, path, path)


def an_abstract_unix_socket(log: Log) -> None:
    """Connect by a UNIX socket that has no file."""
    _unix(log, f"\0osq-activity-{os.getpid()}", f"@osq-activity-{os.getpid()}")


class _Page(BaseHTTPRequestHandler):
    """Answer each request with a short text."""

    def do_GET(self) -> None:
        """Answer a request."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(_SENT)))
        self.end_headers()
        self.wfile.write(_SENT)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def curl(log: Log) -> None:
    """Let curl fetch a page from this process."""
    with HTTPServer((_V4, 0), _Page) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        port = server.server_address[1]
        program = "/usr/bin/curl"
        words = ["curl", "-sf", "-o", "/dev/null", f"http://{_V4}:{port}/"]
        pid = start(log, Start(program=program, arguments=words))
        thread.join()
    key: Row = {"action": "connect", "pid": pid, "status": "in_progress", "remote_port": port}
    values: Row = {"path": os.path.realpath(program), "remote_address": _V4, "uid": os.getuid()}
    log.expect(SOCKETS, key, **values)


STEPS: tuple[Callable[[Log], None], ...] = (
    *(tcp, tcp_over_ipv6, tcp_that_is_refused, tcp_that_does_not_wait, a_port_in_use, udp),
    *(a_question_to_a_name_server, a_unix_socket, an_abstract_unix_socket, curl),
)
