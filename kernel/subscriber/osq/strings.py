# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Texts that are stored once for many rows: paths, command lines and folders repeat all the time.

A row has the number of a text in the table `string`. Numbers grow, and a text is only looked for
among those of the present epoch: it gets another number in the next epoch, so old texts can be
deleted by their number, once no row of their epoch is left.
"""

import sqlite3

STRINGS = "CREATE TABLE string (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"
# The texts of an epoch are in memory. A longer one is stored for each row that has it.
_MOST_TEXTS = 20_000
_MOST_CHARACTERS = 4 << 20
_LONGEST = 4096
# One pass deletes at most so many texts, or twice those that were added since the last pass.
_CHUNK = 2000


class Strings:
    """The texts of one store that many rows share, each stored once under a number.

    They are written in transactions of the caller, who calls `accept` once one is committed; until
    then, `write` writes the texts of the failed one again.
    first: the smallest number that a row from now on can have.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM string").fetchone()
        self.first = self._next = self._deleted_at = int(last) + 1
        self._numbers: dict[str, int] = {}
        self._characters = 0
        self._unwritten: list[tuple[int, str]] = []

    def number(self, text: str) -> int:
        """Return the number that stands for this text; `write` stores the text if it is new.

        A text of more than 4096 characters counts as new at each call.
        """
        number = self._numbers.get(text)
        if number is None:
            number = self._next
            self._next += 1
            self._unwritten.append((number, text))
            if len(text) <= _LONGEST:
                self._numbers[text] = number
                self._characters += len(text)
        return number

    def write(self) -> None:
        """Insert the texts that `number` has met for the first time since the last `accept`."""
        sql = "INSERT INTO string (id, text) VALUES (?, ?)"
        self._connection.executemany(sql, self._unwritten)

    def accept(self) -> None:
        """Count the texts as stored: their transaction is committed.

        Begin another epoch, in which texts get new numbers, when many texts are in memory.
        """
        self._unwritten.clear()
        if len(self._numbers) > _MOST_TEXTS or self._characters > _MOST_CHARACTERS:
            self._numbers.clear()
            self._characters = 0
            self.first = self._next

    def delete_before(self, first: int) -> None:
        """Delete texts whose numbers are below `first`, a limited number of them at each call."""
        most = max(_CHUNK, 2 * (self._next - self._deleted_at))
        self._deleted_at = self._next
        (least,) = self._connection.execute("SELECT min(id) FROM string").fetchone()
        if least is not None and least < first:
            sql = "DELETE FROM string WHERE id < ?"
            self._connection.execute(sql, (min(first, least + most),))
