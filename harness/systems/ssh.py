# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Work in a guest over SSH: run a command, stream its output, push and fetch files.

Every call has a deadline. A failure of SSH proves nothing about the guest's kernel; `session`
decides from console and hypervisor whether the guest is alive. Only this module imports paramiko.
"""

import base64
import contextlib
import logging
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import paramiko

from harness import hints
from harness.errors import CommandOverdue, GuestLost, Lost
from harness.model.settings import Endpoint, PushSpec
from harness.systems import archive
from harness.systems.shell import CommandFailed, Completed

_LOG = logging.getLogger(__name__)
_CHUNK_BYTES = 256 * 1024
# The slowest rate of a push: an emulated guest decrypts 16 MB in 3 s, and in over 40 s beside 20
# busy processes.
_SLOWEST_BYTES_PER_S = 128 * 1024
_TAIL_BYTES = 16 * 1024
_POLL_S = 0.05
# paramiko cannot wait for two streams at once, so both are polled.
_IDLE_S = 0.005
_KEEPALIVE_S = 5
_RETRY_S = 0.25
_TRY_S = 10.0  # one try at a connection: an emulated guest's key exchange takes above a second
# How long a write may stay blocked, after the deadline of the call, before the connection is cut.
_CUT_S = 1.0
# paramiko reports a peer that stopped answering as a failed authentication with one of these
# messages.
_UNANSWERED = ("timeout", "transport shut down")

# paramiko logs a traceback for each failed try, and there are many while a guest boots.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class RemoteProcess:
    """A command that runs in the guest over SSH; its output is read while it runs."""

    def __init__(self, channel: paramiko.Channel, command: str, *, factor: float = 1.0) -> None:
        self._channel = channel
        self._command = command
        self._factor = factor
        self._out = b""
        self._err = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def lines(self, *, poll_s: float) -> Iterator[str | None]:
        """Yield the lines of stdout as they come, and None when none came for `poll_s`."""
        while True:
            whole, newline, rest = self._out.partition(b"\n")
            if newline:
                self._out = rest
                yield _text(whole)
                continue
            if not self._channel.recv_ready() and self._over():
                if self._out:
                    yield _text(self._out)
                return
            if not self._read(poll_s):
                yield None

    def _over(self) -> bool:
        return bool(self._channel.closed or self._channel.eof_received)

    def _read(self, wait_s: float) -> bool:
        if self._channel.recv_stderr_ready():
            self._err += self._channel.recv_stderr(_CHUNK_BYTES)
        self._channel.settimeout(wait_s)
        try:
            data = self._channel.recv(_CHUNK_BYTES)
        except TimeoutError:
            return False
        self._out += data
        return True

    @property
    def stderr(self) -> str:
        """The text that the command has written to stderr so far."""
        while self._channel.recv_stderr_ready():
            self._err += self._channel.recv_stderr(_CHUNK_BYTES)
        return _text(bytes(self._err))

    def write(self, data: bytes) -> None:
        """Send bytes to the command's stdin; raise GuestLost when the peer accepts no more."""
        with _bounded(self._channel.get_transport(), time.monotonic() + _TRY_S):
            self._channel.settimeout(_TRY_S)
            self._channel.sendall(data)

    def close_stdin(self) -> None:
        """Send the end of the command's stdin; raise GuestLost when the peer is gone."""
        with _bounded(self._channel.get_transport(), time.monotonic() + _TRY_S):
            self._channel.shutdown_write()

    def wait(self, *, deadline_s: float) -> int:
        """Return the status when the command has ended, -1 when it has none.

        Raises: CommandOverdue at the deadline.
        """
        limit_s = deadline_s * self._factor
        end = time.monotonic() + limit_s
        while not self._channel.exit_status_ready():
            if time.monotonic() > end:
                raise _overdue(self._command, limit_s)
            time.sleep(_POLL_S)
        return self._channel.recv_exit_status()

    def drain(self, data: bytes, *, end: float) -> tuple[bytes, bytes, int]:
        """Feed stdin and read both streams until the command ends; return them and its status.

        Raises: GuestLost when it has not ended at the time `end`, or when the connection breaks.
        """
        with _bounded(self._channel.get_transport(), end + _CUT_S):
            return _drain(self._channel, data, self._command, end=end)

    def close(self) -> None:
        """Close the channel; the command gets SIGHUP when it has no other way to notice.

        If the peer no longer reads, the connection is closed without an error, and the next
        command on it fails.
        """
        transport = self._channel.get_transport()
        with contextlib.suppress(GuestLost), _bounded(transport, time.monotonic() + _CUT_S):
            self._channel.close()


class Guest:
    """One SSH connection to a guest for all commands; `factor` multiplies their deadlines."""

    def __init__(self, client: paramiko.SSHClient, endpoint: Endpoint, factor: float = 1) -> None:
        self._client = client
        self._factor = factor
        self.endpoint = endpoint

    @classmethod
    @contextmanager
    def connect(
        cls, endpoint: Endpoint, *, deadline_s: float, alive: Callable[[], None]
    ) -> Iterator[Self]:
        """Open a connection, with repeated tries until the deadline while the guest boots.

        `alive` is called between tries and raises when the guest is known to be dead. A refused
        key and a wrong host key are errors at once, because waiting does not help.
        Raises: GuestLost at the deadline, Lost for a refused key or a wrong host key.
        """
        end = time.monotonic() + deadline_s
        client = _client(endpoint)
        tries = 0
        while True:
            alive()
            tries += 1
            left = end - time.monotonic()
            problem = _try(client, endpoint, timeout_s=max(0.5, min(_TRY_S, left)))
            if not problem:
                break
            if time.monotonic() + _RETRY_S > end:
                client.close()
                raise GuestLost(f"no SSH after {deadline_s:.0f} s and {tries} tries: {problem}")
            time.sleep(_RETRY_S)
        _LOG.info("connected to port %d at try %d", endpoint.port, tries)
        with contextlib.closing(cls(client, endpoint)) as guest:
            yield guest

    def stretched(self, factor: float) -> "Guest":
        """Return this connection with the deadline of every command multiplied by `factor`."""
        return Guest(self._client, self.endpoint, factor)

    def close(self) -> None:
        """End the connection; may be called twice."""
        self._client.close()

    def popen(self, command: str, *, start_s: float = _TRY_S) -> RemoteProcess:
        """Start a command in the guest; `start_s` is the deadline for its start in seconds.

        Raises: GuestLost when the connection is gone, or the peer does not answer in time.
        """
        limit_s = start_s * self._factor
        end = time.monotonic() + limit_s
        transport = self._client.get_transport()
        if transport is None or not transport.is_active():
            raise GuestLost("the SSH connection is closed")
        with _bounded(transport, end + _CUT_S):
            channel = transport.open_session(timeout=limit_s)
        process = RemoteProcess(channel, command, factor=self._factor)
        try:
            _exec(channel, command, end=end)
        except GuestLost:
            process.close()
            raise
        return process

    def run(
        self,
        command: str | Sequence[str],
        *,
        deadline_s: float,
        input: bytes = b"",  # noqa: A002
        check: bool = True,
    ) -> Completed:
        """Run a command and return its status and output; a sequence is quoted for the shell.

        Both streams are read to the end before the status. A frozen guest delays the caller by no
        more than the deadline. If the guest also accepts no bytes, the delay may be a second
        longer. The connection is then closed, because half a message was written.
        Raises: CommandOverdue at the deadline, GuestLost without a connection; CommandFailed for a
        status that is not 0, unless `check` is off.
        """
        line = command if isinstance(command, str) else shlex.join(command)
        begun = time.monotonic()
        limit_s = deadline_s * self._factor
        try:
            with self.popen(line, start_s=deadline_s) as process:
                out, err, status = process.drain(input, end=begun + limit_s)
        except GuestLost as error:
            if time.monotonic() < begun + limit_s:
                raise
            raise _overdue(line, limit_s, evidence=error.evidence) from error
        took = time.monotonic() - begun
        completed = Completed(stdout=_text(out), stderr=_text(err), status=status, duration_s=took)
        if check and status != 0:
            raise CommandFailed(line, completed)
        return completed

    def push(self, files: Sequence[PushSpec], *, deadline_s: float) -> None:
        """Copy host files into the guest, owned by root, in one stream, as each command is slow.

        `deadline_s` grows with their size. A running program keeps its old file.
        Raises: GuestLost; CommandFailed when a file cannot be written.
        """
        data = archive.tar(files)
        deadline_s += len(data) / _SLOWEST_BYTES_PER_S
        self.run("tar -x -f - -C /", deadline_s=deadline_s, input=data)

    def fetch(self, source: str, target: Path, *, deadline_s: float) -> None:
        """Copy a file of the guest to the host.

        Raises: GuestLost, CommandFailed when the guest cannot read it.
        """
        found = self.run(f"base64 < {shlex.quote(source)}", deadline_s=deadline_s)
        target.write_bytes(base64.b64decode(found.stdout))


def _overdue(command: str, limit_s: float, *, evidence: Sequence[str] = ()) -> CommandOverdue:
    words = f"a command did not end within {limit_s:g} s: {command}"
    return CommandOverdue(words, evidence=evidence)


def _client(endpoint: Endpoint) -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    kind, key = endpoint.host_key.split()[:2]
    name = endpoint.host if endpoint.port == 22 else f"[{endpoint.host}]:{endpoint.port}"
    entry = paramiko.Ed25519Key(data=base64.b64decode(key))
    client.get_host_keys().add(name, kind, entry)
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    return client


def _try(client: paramiko.SSHClient, endpoint: Endpoint, *, timeout_s: float) -> str:
    """Try once to connect; return "" or the reason of a failure that may be temporary.

    Raises: Lost for a refused key or another host key than expected.
    """
    try:
        client.connect(
            endpoint.host,
            endpoint.port,
            endpoint.user,
            key_filename=str(endpoint.key_file),
            # Other keys are not offered: sshd ends a connection after a few that it refuses.
            allow_agent=False,
            look_for_keys=False,
            timeout=timeout_s,
            banner_timeout=timeout_s,
            auth_timeout=timeout_s,
        )
    except paramiko.BadHostKeyException as error:
        raise Lost(
            "something else answers at the guest's port: its host key differs",
            hint=f"{hints.command('clean', '--all')}, and the next run makes image and keys again",
        ) from error
    except (paramiko.AuthenticationException, paramiko.PasswordRequiredException) as error:
        if any(words in str(error).lower() for words in _UNANSWERED):
            return str(error)
        raise Lost(
            f"the guest refuses the key {endpoint.key_file}",
            hint=f"{hints.command('clean', '--all')}, and the next run makes image and keys again",
        ) from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        return str(error) or type(error).__name__
    transport = client.get_transport()
    if transport is None:
        return "the connection closed at once"
    transport.set_keepalive(_KEEPALIVE_S)
    # A command is several small packets; Nagle's algorithm would have each wait for the last one.
    if isinstance(transport.sock, socket.socket):
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ""


@contextmanager
def _timer(end: float, action: Callable[[], None]) -> Iterator[None]:
    """Call `action` in a thread at the time `end` (monotonic), unless the block ends before."""
    timer = threading.Timer(max(0.0, end - time.monotonic()), action)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _bounded(transport: paramiko.Transport, end: float) -> Iterator[None]:
    """Close the connection if the block still runs at the time `end`.

    When the peer no longer reads, paramiko's write waits for ever and holds the connection's lock.
    Raises: GuestLost when the connection fails or was closed.
    """
    try:
        with _timer(end, transport.close):
            yield
    except (paramiko.SSHException, OSError, EOFError) as error:
        problem = str(error) or type(error).__name__
        raise GuestLost(f"the SSH connection is lost: {problem}") from error


def _exec(channel: paramiko.Channel, command: str, *, end: float) -> None:
    """Ask the peer to start a command on a channel, and wait for its answer until `end`.

    paramiko itself waits for an event without a limit. At `end` a timer sets this event: paramiko
    then reports a closed channel, and the connection stays usable.
    Raises: GuestLost without an answer in time.
    """
    bounded = _bounded(channel.get_transport(), end + _CUT_S)
    try:
        with bounded, _timer(end, channel.event.set):
            channel.exec_command(command)
    except GuestLost as error:
        if time.monotonic() < end:
            raise
        raise GuestLost(f"not started in time: {command}") from error


def _drain(
    channel: paramiko.Channel, data: bytes, command: str, *, end: float
) -> tuple[bytes, bytes, int]:
    """Write `data` to stdin and read both streams to the end; return them and the status."""
    out, err = bytearray(), bytearray()
    channel.settimeout(_POLL_S)
    sent = 0
    if not data:
        channel.shutdown_write()
    while True:
        moved = _take(channel, out, err)
        if sent < len(data) and channel.send_ready():
            sent += channel.send(data[sent : sent + _CHUNK_BYTES])
            moved = True
            if sent == len(data):
                channel.shutdown_write()
        if not moved and channel.exit_status_ready() and channel.eof_received:
            return bytes(out), bytes(err), channel.recv_exit_status()
        if not moved and channel.closed:
            raise GuestLost(f"the connection ended before the command did: {command}")
        if time.monotonic() > end:
            tail = _text(bytes(out[-_TAIL_BYTES:] + err[-_TAIL_BYTES:])).splitlines()[-20:]
            raise GuestLost(f"no end in time of: {command}", evidence=tail)
        if not moved:
            time.sleep(_IDLE_S)


def _take(channel: paramiko.Channel, out: bytearray, err: bytearray) -> bool:
    """Read once the bytes that have arrived on each stream; return whether there were any."""
    before = len(out) + len(err)
    if channel.recv_ready():
        out += channel.recv(_CHUNK_BYTES)
    if channel.recv_stderr_ready():
        err += channel.recv_stderr(_CHUNK_BYTES)
    return len(out) + len(err) > before


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="backslashreplace")
