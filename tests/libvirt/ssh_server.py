# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""An SSH server for one port and one key that needs no root and is not installed.

    python ssh_server.py HOST_KEY AUTHORIZED_KEYS

Prints its port, then runs every command that it is asked for in a shell. A process of its own, so
that a test can stop and kill it.
"""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL

_CHUNK_BYTES = 32768


class _Server(paramiko.ServerInterface):
    def __init__(self, authorized: set[str]) -> None:
        self._authorized = authorized

    def get_allowed_auths(self, username: str) -> str:
        return "publickey" if username else ""

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        known = bool(username) and key.get_base64() in self._authorized
        return AUTH_SUCCESSFUL if known else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        allowed = kind == "session" and chanid >= 0
        return 0 if allowed else 1  # SSH_OPEN_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=_run, args=(channel, command), daemon=True).start()
        return True


def _run(channel: paramiko.Channel, command: bytes) -> None:
    pipe = subprocess.PIPE
    child = subprocess.Popen(["sh", "-c", command], stdin=pipe, stdout=pipe, stderr=pipe)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    threading.Thread(target=_feed, args=(channel, child.stdin), daemon=True).start()
    pumps = [
        threading.Thread(target=_pump, args=(child.stdout.fileno(), channel.sendall)),
        threading.Thread(target=_pump, args=(child.stderr.fileno(), channel.sendall_stderr)),
    ]
    for pump in pumps:
        pump.start()
    for pump in pumps:
        pump.join()
    channel.send_exit_status(child.wait())
    channel.close()


def _feed(channel: paramiko.Channel, stdin: IO[bytes]) -> None:
    try:
        while data := channel.recv(_CHUNK_BYTES):
            stdin.write(data)
        stdin.close()
    except OSError:
        return


def _pump(descriptor: int, send: Callable[[bytes], None]) -> None:
    try:
        while data := os.read(descriptor, _CHUNK_BYTES):
            send(data)
    except OSError:
        return


def _serve(host_key: str, authorized: Path) -> None:
    keys = {line.split()[1] for line in authorized.read_text().splitlines()}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            peer, _ = listener.accept()
            transport = paramiko.Transport(peer)
            transport.add_server_key(paramiko.Ed25519Key(filename=host_key))
            threading.Thread(target=_greet, args=(transport, _Server(keys)), daemon=True).start()


def _greet(transport: paramiko.Transport, server: _Server) -> None:
    try:
        transport.start_server(server=server)
    except (paramiko.SSHException, EOFError):
        return


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]))
