# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A device of user space that runs the driver's own core, and a daemon on it, as processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from osq.columns import SqlValue
from osq.errors import StoreError
from osq.reader import Reader
from tests.subscriber.building import OUT, PRELOAD, ROOT, SERVER

START_S = 30.0
QUERY_S = 60.0
TICK_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The driver core's own counters of one session, which are compared with the store."""

    attempts: int
    committed: int
    consumed: int
    reset: int
    dropped: int
    filtered: int = 0


def until(condition: Callable[[], bool], what: str, *, deadline_s: float = START_S) -> None:
    """Wait until a condition holds.

    Raises: TimeoutError.
    """
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"after {deadline_s} s still not: {what}")
        time.sleep(TICK_S)


class Host:
    """A running osqhostd; leaving the block ends it."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "osq.sock"
        clock_of(self.socket).write_bytes(bytes(8))
        self._process = subprocess.Popen(
            [str(SERVER), str(self.socket)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ended: list[Truth] = []
        assert self._line() == {"ready": True}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pipe(self._process.stdin).close()
        self._process.wait(START_S)
        self._pipe(self._process.stdout).close()

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe

    def _line(self) -> dict[str, Any]:
        line: dict[str, Any] = json.loads(self._pipe(self._process.stdout).readline())
        if "session" in line:
            self.ended.append(Truth(**line["session"]))
        return line

    def tell(self, command: str) -> Truth:
        """Send a command to osqhostd; return the counters of the session after it."""
        self._pipe(self._process.stdin).write(command + "\n")
        self._pipe(self._process.stdin).flush()
        line = self._line()
        while "session" in line:
            line = self._line()
        assert "done" in line, line
        return Truth(**line["done"])

    def publish(self, *records: bytes) -> None:
        """Publish records as the kernel would; the ring gives them their numbers and times."""
        for one in records:
            self.tell(f"record {one.hex()}")

    def wait_for_end(self) -> Truth:
        """Wait until the next owner of the device leaves; return the counters of its session."""
        line = self._line()
        assert "session" in line, line
        return self.ended[-1]


def clock_of(socket: Path) -> Path:
    """Return the file that sets the calendar of a device's programs ahead."""
    return socket.with_name("clock")


def set_clock_ahead(host: "Host", seconds: int) -> None:
    """Set the calendar of the device's programs to so many seconds ahead of the true time."""
    clock = clock_of(host.socket)
    with clock.open("r+b") as file:
        file.write(seconds.to_bytes(8, sys.byteorder, signed=True))


def environment(socket: Path) -> dict[str, str]:
    """Return the environment in which a program uses the device of user space."""
    paths = f"{OUT}{os.pathsep}{ROOT / 'kernel' / 'subscriber'}"
    return {
        **os.environ,
        "LD_PRELOAD": str(PRELOAD),
        "OSQHOST_SOCKET": str(socket),
        "OSQHOST_CLOCK": str(clock_of(socket)),
        "PYTHONPATH": paths,
    }


class Daemon:
    """A running `osq daemon` on a Host; leaving the block kills it if it still runs."""

    def __init__(
        self, host: Host, folder: Path, own: Mapping[str, Any] | None = None, **top: Any
    ) -> None:
        self.store = folder / "events.db"
        self.config = folder / "osq.conf"
        keys = {"device": str(host.socket), "store": str(self.store), "interval_s": 1}
        self.config.write_text(json.dumps({"osq": {**keys, **(own or {})}, **top}))
        self.log = folder / "daemon.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "osq", "--config", str(self.config), "daemon"],
                env=environment(host.socket),
                stderr=log,
            )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the daemon."""
        self._process.send_signal(number)

    def pause(self) -> None:
        """Stop the daemon by SIGSTOP, and return when it no longer runs."""
        self.signal(signal.SIGSTOP)
        stat = Path(f"/proc/{self.pid}/stat")
        # The program's name in parentheses may contain blanks, so the state is read after it.
        until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "it is stopped")

    def go_on(self) -> None:
        """Let the paused daemon continue."""
        self.signal(signal.SIGCONT)

    def wait(self) -> int:
        """Wait for the daemon's end and return its exit code."""
        return self._process.wait(QUERY_S)

    def stop(self) -> int:
        """Ask the daemon to stop; return its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def said(self) -> str:
        """Return the text of the daemon's log."""
        return self.log.read_text()

    def is_reading(self) -> bool:
        """Return whether the daemon has subscribed.

        Raises: AssertionError with its log when it has ended instead.
        """
        assert self._process.poll() is None, self.said()
        return "reading" in self.said()


def ask(store: Path, sql: str, *parameters: SqlValue) -> list[tuple[SqlValue, ...]]:
    """Return all rows of a query on the daemon's store; no rows if there is no store yet."""
    try:
        with Reader(store) as reader:
            return list(reader.query(sql, parameters, deadline_s=QUERY_S).rows)
    except StoreError as error:
        if "no such store" in error.message:
            return []
        raise


def counts(store: Path, sql: str, *parameters: SqlValue) -> list[tuple[int, ...]]:
    """Return all rows of a query whose values are numbers, with 0 for NULL."""
    return [tuple(int(value or 0) for value in row) for row in ask(store, sql, *parameters)]


def number(store: Path, sql: str, *parameters: SqlValue) -> int:
    """Return the single number that a query gives, 0 for NULL or no row."""
    rows = ask(store, sql, *parameters)
    return int(rows[0][0] or 0) if rows else 0


def stored(store: Path) -> int:
    """Return the number of events in all tables of the store."""
    tables = "SELECT eid FROM kprocess_events UNION ALL SELECT eid FROM kloss_events"
    return number(store, f"SELECT count(*) FROM ({tables})")
