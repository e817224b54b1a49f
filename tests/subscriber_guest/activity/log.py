# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The activity's own log: what each step did, as the rows that the subscriber must have of it.

The values are those that the step has chosen, or has been told by system calls; nothing here asks
the subscriber or the driver. A column is an SQL expression over the columns of a table.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

Value = int | str | None
Row = Mapping[str, Value]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A row that a table must have: the only one with this key, and with these other values."""

    step: str
    table: str
    key: Row
    values: Row


class Log:
    """A file to which the activity and its children append, each a line at once.

    work: an empty folder for the steps; watched: the folder in it whose files are recorded.
    """

    def __init__(self, path: Path, *, work: Path) -> None:
        self.path, self.work, self.watched = path, work, work / "files"
        self.step = ""
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def expect(self, table: str, key: Row, **values: Value) -> None:
        """Append a row that the table must have; `values` has columns by their names."""
        self.expect_all(table, key, values)

    def expect_all(self, table: str, key: Row, values: Row) -> None:
        """Append a row that the table must have; the columns are SQL expressions."""
        row = Expected(step=self.step, table=table, key=key, values=values)
        line = json.dumps(asdict(row)) + "\n"
        written = os.write(self._file, line.encode())
        if written != len(line):
            raise OSError(f"{self.path}: {written} of {len(line)} bytes were written")


def read(path: Path) -> Iterator[Expected]:
    """Yield the rows of a log."""
    for line in path.read_text().splitlines():
        yield Expected(**json.loads(line))
