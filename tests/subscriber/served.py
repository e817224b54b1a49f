# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A model of osqueryd with the real extension as a process of its own, on one store."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.subscriber.building import OUT, ROOT
from tests.subscriber.host import ask
from tests.subscriber.osquery_tables import Value
from tests.subscriber.osqueryd_model import UUID, Osqueryd

END_S = 30.0
MOST_MIB = 1


def environment() -> dict[str, str]:
    """Return the environment of an extension that runs from this tree."""
    paths = os.pathsep.join((str(OUT), str(ROOT / "kernel" / "subscriber")))
    return {**os.environ, "PYTHONPATH": paths}


def extension_command(folder: Path, store: Path, socket: Path, *, mib: int) -> list[str]:
    """Write a configuration, and return the command of an extension that reads it."""
    config = folder / "osq.conf"
    config.write_text(json.dumps({"osq": {"store": str(store), "extension_mib": mib}}))
    return [
        *(sys.executable, "-m", "osq.extension", "--config", str(config)),
        *("--socket", str(socket), "--timeout", "10", "--interval", "1"),
    ]


class Served:
    """A model of osqueryd and an extension that is connected to it; leaving the block ends both.

    The clock of osquery's table `time` advances with each look at it, so a query that looked
    twice would have two runs.
    """

    def __init__(
        self, folder: Path, store: Path, *, mib: int = MOST_MIB, default_index: bool = True
    ) -> None:
        self.store = store
        self._socket = folder / "osquery.em"
        for old in (self._socket, Path(f"{self._socket}.{UUID}")):
            old.unlink(missing_ok=True)
        clock = itertools.count(1_800_000_000)
        self.osqueryd = Osqueryd(
            self._socket, clock=lambda: next(clock), default_index=default_index
        )
        self._extension = subprocess.Popen(
            extension_command(folder, store, self._socket, mib=mib), env=environment()
        )
        try:
            self.osqueryd.wait_for_extension()
        except BaseException:
            self.close()
            raise
        self.connection = self.osqueryd.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the extension's process."""
        self._extension.kill()
        self._extension.wait()

    def rows(self, sql: str) -> list[tuple[Value, ...]]:
        """Return the rows of one query of osqueryd."""
        return [tuple(row.values()) for row in self.connection.query(sql)]

    @property
    def peak_mib(self) -> int:
        """The most memory that the extension's process has had so far."""
        status = Path(f"/proc/{self._extension.pid}/status").read_text().splitlines()
        (line,) = (one for one in status if one.startswith("VmHWM:"))
        return int(line.split()[1]) >> 10

    def agrees(self, sql: str) -> int:
        """Return the number of rows after osqueryd and the store have given the same rows.

        A text that is NULL in the store is empty in osquery; a number that is NULL is NULL.
        """
        here, there = self.rows(sql), ask(self.store, sql)
        assert sorted(map(_comparable, here)) == sorted(map(_comparable, there))
        return len(here)


def _comparable(row: tuple[Value, ...]) -> tuple[str, ...]:
    return tuple("" if value is None else str(value) for value in row)
