# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Query results as text: an aligned table, JSON objects (one a line, in an array), or CSV.

The table is for people: it has the names of users beside their uids; the other formats have only
the uids. In every format escapes stand for the characters that a terminal would obey. In CSV a
text that a spreadsheet would take for a formula begins with '. So only JSON, read by a parser,
gives exactly the values of the store.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable
from enum import Enum
from typing import TextIO

from osq.columns import SqlValue
from osq.reader import Result
from osq.users import name_of

# The first rows set the column widths. A later, wider value is not cut; it breaks the alignment.
_MEASURED_ROWS = 200


class Format(Enum):
    """A format in which `osq query` prints rows."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Printer:
    """Writes the rows of answers to a stream in one format; `close` writes the format's end.

    lines: for JSON, one object a line and no array, for a query whose answers go on (--follow).
    name_of: returns the name of a user by the uid, "" for none.
    """

    def __init__(
        self,
        out: TextIO,
        form: Format,
        *,
        lines: bool = False,
        name_of: Callable[[int], str] = name_of,
    ) -> None:
        self._out, self._form, self._lines, self._name_of = out, form, lines, name_of
        self._rows = 0
        self._headed = False

    def print(self, answer: Result) -> None:
        """Write all rows of an answer; the first call also writes the format's header."""
        if self._form is Format.JSON:
            self._json(answer)
        elif self._form is Format.CSV:
            self._csv(answer)
        else:
            self._table(answer)
        self._out.flush()

    def close(self) -> None:
        """Write the end of the output: for JSON, the end of the array."""
        if self._form is Format.JSON and not self._lines:
            self._out.write("\n]\n" if self._rows else "[]\n")
            self._out.flush()

    def _json(self, answer: Result) -> None:
        for values in answer.rows:
            cells = dict(zip(answer.columns, values, strict=True))
            row = json.dumps(cells, ensure_ascii=False).translate(_OBEYED_IN_JSON)
            if self._lines:
                self._out.write(row + "\n")
            else:
                self._out.write((",\n  " if self._rows else "[\n  ") + row)
            self._rows += 1

    def _csv(self, answer: Result) -> None:
        writer = csv.writer(self._out, lineterminator="\n")
        if not self._headed:
            writer.writerow(answer.columns)
            self._headed = True
        writer.writerows([_plain(value) for value in values] for values in answer.rows)

    def _table(self, answer: Result) -> None:
        rows = (
            [self._cell(name, value) for name, value in zip(answer.columns, values, strict=True)]
            for values in answer.rows
        )
        first = [row for row, _ in zip(rows, range(_MEASURED_ROWS), strict=False)]
        widths = [
            max([len(name), *(len(row[place]) for row in first)])
            for place, name in enumerate(answer.columns)
        ]
        if not self._headed:
            self._line(answer.columns, widths)
            self._line(["-" * width for width in widths], widths)
            self._headed = True
        for row in first:
            self._line(row, widths)
        for row in rows:
            self._line(row, widths)

    def _cell(self, column: str, value: SqlValue) -> str:
        """Return a value as one line of text for a table: "" for NULL, newlines as escapes.

        In a column of user ids the user's name comes first.
        """
        if value is None:
            return ""
        cell = shown(str(value))
        # The columns of user ids, such as euid and now_uid, all end so; kfile_events has them as
        # text.
        is_user = column.endswith("uid") and cell.isdecimal()
        name = self._name_of(int(cell)) if is_user else ""
        return f"{shown(name)} ({cell})" if name else cell

    def _line(self, cells: Iterable[str], widths: list[int]) -> None:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        self._out.write("  ".join(padded).rstrip() + "\n")


def shown(value: str) -> str:
    """Return a text in which escapes stand for the characters that a terminal would obey.

    Where the text itself looks like such an escape, its backslash is escaped, too, so no two texts
    look alike.
    """
    return _LIKE_AN_ESCAPE.sub(r"\\x5c", value).translate(_CONTROL)


def _plain(value: SqlValue) -> SqlValue:
    """Return a value for CSV: a text that a spreadsheet would take for a formula begins with '.

    What a terminal would obey is an escape.
    """
    if not isinstance(value, str):
        return value
    text = shown(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


_FORMULA = ("=", "+", "-", "@")
# osq.values.text has taken care of those of bytes.
_LIKE_AN_ESCAPE = re.compile(r"\\(?=u[0-9a-f]{4})")
# C1 controls, line separators and marks of direction: a terminal obeys them, or shows a text in
# another order than it has.
_OBEYED = (*range(0x80, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_CONTROL = {
    **{number: f"\\x{number:02x}" for number in (*range(32), 127)},
    **{number: f"\\u{number:04x}" for number in _OBEYED},
}
# json.dumps has escaped all below 32.
_OBEYED_IN_JSON = {number: f"\\u{number:04x}" for number in (127, *_OBEYED)}
