# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the parent's program in rows of kprocess_events: the right one, or NULL."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from _libosq import lib
from osq.columns import SqlValue
from osq.parents import INDEXES
from osq.records import Event
from tests.subscriber.events import a_record
from tests.subscriber.host import ask
from tests.subscriber.test_event_tables import stored

SH, CURL, MAKE = 11, 12, 13
PATHS = {SH: b"/usr/bin/dash", CURL: b"/usr/bin/curl", MAKE: b"/usr/bin/make"}
SHELL, CHILD, GRANDCHILD = 500, 501, 502


class Story:
    """Events of a few processes, whose numbers grow; a pid began at 1000 times itself."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def _add(self, name: str, pid: int, parent: int, runs: int, **own: Any) -> None:
        ids: dict[str, Any] = {"pid": pid, "start_boot_ns": 1000 * pid, "ppid": parent}
        ids |= {"parent_start_boot_ns": 1000 * parent, "seq": len(self.events) + 1}
        actor = {"parent_dev": 1, "parent_ino": runs} if runs else {}
        self.events.append(a_record(name, **ids, actor=actor, **own))

    def exec(self, pid: int, parent: int, file: int, argv: bytes, *, parent_runs: int) -> None:
        """Let a process start a program while its parent runs the file with an inode number."""
        spans = {"path": PATHS[file], "argv": argv}
        self._add("exec", pid, parent, parent_runs, spans=spans, dev=1, ino=file)

    def fork(self, pid: int, parent: int, child: int) -> None:
        """Let a process make another one."""
        own = {"child_pid": child, "child_tid": child, "child_start_boot_ns": 1000 * child}
        self._add("fork", pid, parent, 0, **own)

    def lose(self, record: int) -> None:
        """Let a record of a type be lost."""
        self.events.append(a_record("lost", seq=len(self.events) + 1, types=1 << record))


@pytest.fixture
def story() -> Story:
    """Give the story of a shell that was started by process 1."""
    one = Story()
    one.exec(SHELL, 1, SH, b"sh\0-c\0curl\0", parent_runs=0)
    one.fork(SHELL, 1, CHILD)
    return one


def parent_of(store: Path, pid: int) -> tuple[SqlValue, ...]:
    """Return what the last row of a process says of its parent."""
    sql = """SELECT parent, parent_start_ntime, parent_path, parent_cmdline FROM kprocess_events
        WHERE pid = ? ORDER BY eid DESC LIMIT 1"""
    return ask(store, sql, pid)[0]


def test_a_row_has_the_start_path_and_arguments_of_the_parent(folder: Path, story: Story) -> None:
    """parent_path and parent_cmdline of a child's row are those of the parent's last exec."""
    story.exec(CHILD, SHELL, CURL, b"curl\0", parent_runs=SH)

    assert parent_of(stored(folder, *story.events), CHILD) == (
        SHELL,
        500_000,
        "/usr/bin/dash",
        "sh -c curl",
    )


def test_a_parent_without_a_program_of_its_own_has_that_of_the_process_that_made_it(
    folder: Path, story: Story
) -> None:
    """A forked subshell is shown with the shell's program at the fork, not with a later one."""
    story.fork(CHILD, SHELL, GRANDCHILD)
    story.exec(SHELL, 1, MAKE, b"make\0", parent_runs=0)
    story.exec(GRANDCHILD, CHILD, CURL, b"curl\0", parent_runs=SH)

    assert parent_of(stored(folder, *story.events), GRANDCHILD)[2:] == (
        "/usr/bin/dash",
        "sh -c curl",
    )


@pytest.mark.parametrize("runs", [MAKE, 0])
def test_a_parent_whose_exec_is_not_stored_has_no_program(
    folder: Path, story: Story, runs: int
) -> None:
    """parent_path is NULL if the record names another file than the stored exec, or none."""
    story.exec(CHILD, SHELL, CURL, b"curl\0", parent_runs=runs)

    store = stored(folder, *story.events)
    assert parent_of(store, CHILD)[2:] == (None, None)
    assert parent_of(store, SHELL)[2:] == (None, None)


@pytest.mark.parametrize(
    ("lost", "cmdline"), [(lib.OSQ_TYPE_EXEC, None), (lib.OSQ_TYPE_FORK, "sh -c curl")]
)
def test_after_a_lost_exec_the_arguments_of_the_parent_are_not_known(
    folder: Path, story: Story, lost: int, cmdline: str | None
) -> None:
    """If exec records were lost since, parent_cmdline is NULL; a lost fork does not matter."""
    story.lose(lost)
    story.exec(CHILD, SHELL, CURL, b"curl\0", parent_runs=SH)

    assert parent_of(stored(folder, *story.events), CHILD)[2:] == ("/usr/bin/dash", cmdline)


def test_the_parents_program_is_found_through_the_indexes(folder: Path, story: Story) -> None:
    """SQLite's plan for parent_path uses both indexes, and scans no whole table."""
    with closing(sqlite3.connect(stored(folder, *story.events))) as connection:
        sql = "EXPLAIN QUERY PLAN SELECT parent_path FROM kprocess_events WHERE time > 5"
        plan = [str(row[3]) for row in connection.execute(sql)]

    assert not [step for step in plan if step.startswith("SCAN") and "store" in step]
    assert sum("kprocess_events_exec" in step for step in plan) == 2
    assert sum("kprocess_events_fork" in step for step in plan) == 1
    assert len(INDEXES) == 2
