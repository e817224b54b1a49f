# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the texts that are stored once for many rows."""

import resource
from pathlib import Path

import pytest

from osq import strings
from osq.columns import Context
from osq.completeness import Totals
from osq.errors import StoreError
from osq.moment import Moment
from osq.records import Exec
from osq.retention import Limits, Retention
from osq.store import Store
from tests.subscriber.events import a_fork, an_exec
from tests.subscriber.host import ask, number

CONTEXT = Context(realtime_offset_ns=0)
TEXTS = "SELECT count(*) FROM string"
WRONG = """SELECT count(*) FROM kprocess_events
    WHERE cmdline IS NOT 'true ' || seq_num OR path IS NOT '/usr/bin/true'"""


def numbered(seq: int) -> Exec:
    """Return a program whose only argument is its number."""
    return an_exec(seq=seq, path=b"/usr/bin/true", argv=b"true\0%d\0" % seq)


def put(store: Store, first: int, count: int) -> None:
    """Store programs and close an interval."""
    last = first + count - 1
    totals = Totals(attempts=last, stored=last, at=Moment.now())
    events = [numbered(seq) for seq in range(first, last + 1)]
    store.commit(events, totals, CONTEXT, close_interval=True)


def test_texts_that_repeat_are_stored_once(folder: Path) -> None:
    """For a thousand equal execs the table `string` has seven texts."""
    path = folder / "events.db"
    with Store(path, Limits()) as store:
        store.begin()
        for first in (1, 501):
            events = [an_exec(seq=seq) for seq in range(first, first + 500)]
            store.commit(events, Totals(), CONTEXT, close_interval=False)

    # path, filename, cmdline, cwd, cgroup, an empty env, the JSON of an argument with a blank.
    assert number(path, TEXTS) == 7
    sql = "SELECT DISTINCT path, filename, cmdline, cwd, env FROM kprocess_events"
    assert ask(path, sql) == [("/usr/bin/printf", "printf", "printf %s x \\xff", "/root", "")]


def test_texts_are_deleted_after_the_rows_that_have_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When retention deletes rows, their texts in `string` follow; remaining rows keep theirs."""
    monkeypatch.setattr(strings, "_MOST_TEXTS", 500)
    path = folder / "events.db"
    with Store(path, Limits(default=Retention(max_rows=1000))) as store:
        store.begin()
        for first in range(1, 20_001, 200):
            put(store, first, 200)

    assert number(path, "SELECT count(*) FROM kprocess_events") == 1000
    assert 1000 < number(path, TEXTS) < 2500
    assert number(path, WRONG) == 0


def test_texts_survive_the_next_daemon_and_get_new_numbers_there(folder: Path) -> None:
    """A reopened store stores equal texts again; rows of all openings have the right ones."""
    path = folder / "events.db"
    texts = []
    for _ in range(3):
        with Store(path, Limits()) as store:
            store.begin()
            put(store, 1, 10)
        texts.append(number(path, TEXTS))

    assert texts == [texts[0], 2 * texts[0], 3 * texts[0]]
    assert texts[0] >= 10
    assert number(path, WRONG) == 0
    assert number(path, "SELECT count(*) FROM kprocess_events") == 30


def test_the_texts_of_a_commit_that_failed_are_stored_by_the_next_one(folder: Path) -> None:
    """After a commit that failed on a full disk, its rows and their texts are stored."""
    path = folder / "events.db"
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Store(path, Limits()) as store:
        store.begin()
        put(store, 1, 10)
        size = path.with_name("events.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, unlimited[1]))
        try:
            with pytest.raises(StoreError):
                put(store, 11, 100)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        put(store, 11, 100)

    assert number(path, "SELECT count(*) FROM kprocess_events") == 110
    assert number(path, WRONG) == 0


@pytest.mark.parametrize(
    ("argv", "encoded"),
    [
        (b"true\0", '["true"]'),
        (b"ls\0-l\0/\0", '["ls", "-l", "/"]'),
        (b"sh\0-c\0echo a b\0", '["sh", "-c", "echo a b"]'),
        (b'echo\0"\0', '["echo", "\\""]'),
        (b"", "[]"),
        (b"a\0\0b\0", '["a", "", "b"]'),
    ],
)
def test_arguments_as_json_are_right_whether_they_are_stored_or_made_from_the_command_line(
    folder: Path, argv: bytes, encoded: str
) -> None:
    """In json_cmdline is argv as JSON, stored, or made by the view from cmdline."""
    path = folder / "events.db"
    with Store(path, Limits()) as store:
        store.begin()
        events = [an_exec(seq=1, argv=argv), a_fork(seq=2)]
        store.commit(events, Totals(), CONTEXT, close_interval=False)

    sql = "SELECT json_cmdline FROM kprocess_events ORDER BY eid"
    assert ask(path, sql) == [(encoded,), (None,)]
