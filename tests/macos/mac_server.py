# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The scripted Mac behind a real SSH server on a loopback port, with restarts.

`shutdown -r now` closes every connection and the port for a moment, and then begins another boot
session. A panic does the same.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from harness.errors import RuleBroken
from tests.macos.fake_mac import FakeMac, LineProcess
from tests.macos.fake_system import Died

_DOWN_S = 0.15
# Long enough for the harness to reach the old session before the restart.
_GOING_S = 1.0
_CHUNK_BYTES = 32768


class _Login(paramiko.ServerInterface):
    def __init__(self, server: "MacServer") -> None:
        self._server = server

    def get_allowed_auths(self, username: str) -> str:
        """Allow a client to log in only with a public key."""
        return "publickey" if username else ""

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        """Accept a client that logs in with the one authorised key."""
        known = bool(username) and key.get_base64() == self._server.authorized
        return AUTH_SUCCESSFUL if known else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        """Allow a client to open only channels of the kind 'session'."""
        del chanid
        return OPEN_SUCCEEDED if kind == "session" else 1

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        """Run a client's command in its own thread."""
        line = command.decode()
        threading.Thread(target=self._server.serve, args=(channel, line), daemon=True).start()
        return True


class MacServer:
    """A running SSH server; a test may change `mac` while it runs."""

    def __init__(self, mac: FakeMac, host_key: Path, authorized: str) -> None:
        self.mac = mac
        self.authorized = authorized
        self._key = paramiko.Ed25519Key(filename=str(host_key))
        self._lock = threading.Lock()
        self._transports: list[paramiko.Transport] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._closed = False
        self._accept()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._closed = True
        self._cut()

    def _accept(self) -> None:
        threading.Thread(target=self._loop, args=(self._listener,), daemon=True).start()

    def _loop(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                transport = paramiko.Transport(peer)
                transport.add_server_key(self._key)
                self._transports.append(transport)
                with contextlib.suppress(paramiko.SSHException, EOFError):
                    # With an event this call returns at once, and the next connection can be
                    # accepted.
                    transport.start_server(event=threading.Event(), server=_Login(self))

    def serve(self, channel: paramiko.Channel, line: str) -> None:
        """Run one command and send its output and status."""
        with contextlib.suppress(OSError, EOFError):
            if line.startswith("sudo -n tail -f /dev/"):
                self._hold(channel, line)
                return
            process = self.mac.interactive(line, self._lock)
            if process is not None:
                _answer_lines(channel, process)
                return
            data = _read(channel)
            with self._lock:
                try:
                    out, err, status = self._run(line, data)
                except Died:
                    self.restart()
                    return
            channel.sendall(out.encode())
            channel.sendall_stderr(err.encode())
            channel.send_exit_status(status)
            channel.close()

    def _run(self, line: str, data: bytes) -> tuple[str, str, int]:
        if line == "sudo -n shutdown -r now":
            self.mac.commands.append(line)
            if self.mac.profile.slow_to_go:
                threading.Timer(_GOING_S, self.restart).start()
                return "Shutdown NOW!\n", "", 0
            raise Died
        return self.mac.run(line, data)

    def _hold(self, channel: paramiko.Channel, line: str) -> None:
        """Keep a device open until the client disconnects, as `tail -f` does."""
        device = line.removeprefix("sudo -n tail -f ")
        self.mac.commands.append(line)
        self.mac.opened.add(device)
        while not channel.closed:
            time.sleep(0.02)
        self.mac.opened.discard(device)

    def restart(self) -> None:
        """Close all connections, and serve another boot session after a moment."""
        self._cut()
        self.mac.restart()
        if self.mac.profile.never_back:
            return
        threading.Timer(_DOWN_S, self._back).start()

    def _back(self) -> None:
        if self._closed:
            return
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._accept()

    def _cut(self) -> None:
        with contextlib.suppress(OSError):
            # This ends `accept` in the other thread, which `close` alone would leave waiting.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        while self._transports:
            self._transports.pop().close()


def _answer_lines(channel: paramiko.Channel, process: LineProcess) -> None:
    """Send the process's answers to each input line, until the process or the input ends."""
    data, status = b"", 0
    try:
        while chunk := channel.recv(_CHUNK_BYTES):
            *lines, data = (data + chunk).split(b"\n")
            for line in lines:
                for answer in process.answers(line.decode()):
                    channel.sendall(f"{answer}\n".encode())
    except EOFError:
        # A shell reports this status for a program that SIGKILL has ended.
        status = 137
    except (AssertionError, RuleBroken) as error:
        channel.sendall_stderr(f"{type(error).__name__}: {error}\n".encode())
        status = 1
    finally:
        process.end()
    channel.send_exit_status(status)
    channel.close()


def _read(channel: paramiko.Channel) -> bytes:
    data = b""
    while chunk := channel.recv(_CHUNK_BYTES):
        data += chunk
    return data


@contextmanager
def serving(mac: FakeMac, host_key: Path, authorized: str) -> Iterator[MacServer]:
    """Run an SSH server while the block runs; an unknown command is an error at its end."""
    with MacServer(mac, host_key, authorized) as server:
        yield server
    assert mac.unknown == []
