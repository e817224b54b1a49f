# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""An SSH server for one port and one key; it needs no root and is not installed.

python ssh_server.py HOST_KEY AUTHORIZED_KEYS [MOMENT SIGNAL]

It prints its port, then runs every command that a client sends in a shell. It is a process of its
own, so that a test can stop and kill it. With MOMENT, it sends itself SIGNAL once at that moment.
"""

import enum
import os
import signal
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
# SSH's own window is large: the network's buffers are full long before it.
_WINDOW_BYTES = 1 << 28


class Moment(enum.StrEnum):
    """The moment at which the server sends itself a signal, named by its last action."""

    KEY = "received a key, and not answered"
    OPEN = "received the request for a channel, and not answered"
    EXEC = "received a command, and not answered"
    INPUT = "received some of the input"
    OUTPUT = "sent some of the output"
    STATUS = "sent the status, and not closed the channel"


Reached = Callable[[Moment], None]


class _Server(paramiko.ServerInterface):
    def __init__(self, authorized: set[str], reached: Reached) -> None:
        self._authorized = authorized
        self._reached = reached

    def get_allowed_auths(self, username: str) -> str:
        return "publickey" if username else ""

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self._reached(Moment.KEY)
        known = bool(username) and key.get_base64() in self._authorized
        return AUTH_SUCCESSFUL if known else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        self._reached(Moment.OPEN)
        allowed = kind == "session" and chanid >= 0
        return 0 if allowed else 1  # SSH_OPEN_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self._reached(Moment.EXEC)
        work = (channel, command, self._reached)
        threading.Thread(target=_run, args=work, daemon=True).start()
        return True


def _run(channel: paramiko.Channel, command: bytes, reached: Reached) -> None:
    pipe = subprocess.PIPE
    child = subprocess.Popen(["sh", "-c", command], stdin=pipe, stdout=pipe, stderr=pipe)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    threading.Thread(target=_feed, args=(channel, child.stdin, reached), daemon=True).start()
    out, err = child.stdout.fileno(), child.stderr.fileno()
    pumps = [
        threading.Thread(target=_pump, args=(out, channel.sendall, reached)),
        threading.Thread(target=_pump, args=(err, channel.sendall_stderr, reached)),
    ]
    for pump in pumps:
        pump.start()
    for pump in pumps:
        pump.join()
    channel.send_exit_status(child.wait())
    reached(Moment.STATUS)
    channel.close()


def _feed(channel: paramiko.Channel, stdin: IO[bytes], reached: Reached) -> None:
    try:
        while data := channel.recv(_CHUNK_BYTES):
            reached(Moment.INPUT)
            stdin.write(data)
        stdin.close()
    except OSError:
        return


def _pump(descriptor: int, send: Callable[[bytes], None], reached: Reached) -> None:
    try:
        while data := os.read(descriptor, _CHUNK_BYTES):
            send(data)
            reached(Moment.OUTPUT)
    except OSError:
        return


def _serve(host_key: str, authorized: Path, moment: str, name: str) -> None:
    left = [moment]

    def reached(now: Moment) -> None:
        if now in left:
            left.remove(now)
            # A signal to the calling thread takes effect before the call returns.
            signal.pthread_kill(threading.get_ident(), signal.Signals[name])

    keys = {line.split()[1] for line in authorized.read_text().splitlines()}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            peer, _ = listener.accept()
            transport = paramiko.Transport(peer, default_window_size=_WINDOW_BYTES)
            transport.add_server_key(paramiko.Ed25519Key(filename=host_key))
            server = _Server(keys, reached)
            threading.Thread(target=_greet, args=(transport, server), daemon=True).start()


def _greet(transport: paramiko.Transport, server: _Server) -> None:
    try:
        transport.start_server(server=server)
    except (paramiko.SSHException, EOFError):
        return


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]), *(sys.argv[3:] or ("", "")))
