# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run osqtail, which prints the driver's records, while a test makes events."""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from harness.errors import GuestLost
from harness.systems.ssh import Guest

Record = dict[str, Any]
Tailing = Callable[..., AbstractContextManager["Tail"]]
START_S = 20.0
DRAIN_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Tailed:
    """The output of osqtail: its records, and the counters of its last line."""

    records: tuple[Record, ...]
    stats: dict[str, int]

    def execs_of(self, path: str) -> list[Record]:
        """Return the exec records of one program, in the order of the ring."""
        return [one for one in self.records if one["type"] == "exec" and one["path"] == path]


class Tail:
    """A running osqtail; `finish` ends it and returns its output."""

    def __init__(self, guest: Guest, options: str) -> None:
        self._guest = guest
        self._remote = guest.popen(f"exec osqtail --stats {options}")
        self._lines = self._remote.lines(poll_s=0.1)
        self._records: list[Record] = []
        self.ready = self._read_until(lambda record: record["type"] == "ready", START_S)

    def finish(self) -> Tailed:
        """Let osqtail drain the ring and print its last line, and return the output."""
        self._guest.run("pkill -TERM -x osqtail", deadline_s=START_S)
        stats = self._read_until(lambda record: record["type"] == "stats", DRAIN_S)
        self._remote.close()
        counters = {name: value for name, value in stats.items() if isinstance(value, int)}
        return Tailed(records=tuple(self._records), stats=counters)

    def kill(self) -> None:
        """Kill osqtail, so that it prints nothing more."""
        self._guest.run("pkill -KILL -x osqtail", deadline_s=START_S)
        self._remote.close()

    def _read_until(self, wanted: Callable[[Record], bool], deadline_s: float) -> Record:
        end = time.monotonic() + deadline_s
        for line in self._lines:
            record: Record | None = json.loads(line) if line else None
            if record is not None and wanted(record):
                return record
            if record is not None:
                self._records.append(record)
            if time.monotonic() > end:
                break
        raise GuestLost("osqtail did not say what was expected", evidence=self._last_words())

    def _last_words(self) -> tuple[str, ...]:
        return tuple(json.dumps(record) for record in self._records[-5:])
