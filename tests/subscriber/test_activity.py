# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the activity that tests/subscriber_guest runs in a guest, as far as a host can show.

The steps run here, too, where no driver records them; the comparison is shown wrong rows.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from osq.columns import Context
from osq.completeness import Totals
from osq.records import Event
from osq.retention import Limits
from osq.store import Store
from tests.subscriber.building import ROOT
from tests.subscriber.events import a_fork, an_exec, an_exit
from tests.subscriber.host import ask
from tests.subscriber_guest.activity.comparison import differences
from tests.subscriber_guest.activity.log import Expected, Log, Row, read

STEPS_S = 120.0
PID, CHILD = 41, 42
EVENTS: tuple[Event, ...] = (
    a_fork(seq=1, pid=PID, child_pid=CHILD, child_tid=CHILD),
    an_exec(seq=2, pid=CHILD, uid=1000, path=b"/usr/bin/true", argv=b"it's\0a\nb\0"),
    an_exit(seq=3, pid=CHILD, status=7 << 8),
)


def stored(folder: Path, events: Sequence[Event]) -> Path:
    """Store events, and return the store."""
    path = folder / "events.db"
    with Store(path, Limits()) as store:
        store.begin()
        store.commit(events, Totals(), Context(realtime_offset_ns=0), close_interval=False)
    return path


def compared(store: Path, expected: Sequence[Expected]) -> list[str]:
    """Return the differences between a store and what is expected."""

    def answer(sql: str) -> list[tuple[int, str]]:
        return [(int(number or 0), str(values)) for number, values in ask(store, sql)]

    return differences(expected, answer)


@pytest.fixture
def expected(folder: Path) -> list[Expected]:
    """Give the rows of the events above, as a step would have logged them."""
    log = Log(folder / "log", work=folder)
    log.step = "one"
    rows: tuple[tuple[Row, Row], ...] = (
        ({"event_type": "fork", "child_pid": CHILD}, {"pid": PID}),
        (
            {"event_type": "exec", "cmdline": "it's a\nb"},
            {"pid": CHILD, "uid": 1000, "path": "/usr/bin/true", "tty": 0, "container_id": None},
        ),
        ({"event_type": "exit", "pid": CHILD}, {"exit_code": 7, "exit_code BETWEEN 1 AND 9": 1}),
    )
    for key, values in rows:
        log.expect_all("kprocess_events", key, values)
    return list(read(log.path))


def test_rows_that_are_as_expected_have_no_difference(
    folder: Path, expected: list[Expected]
) -> None:
    """The comparison of rows with an activity's log accepts right rows, queried alone or many."""
    store = stored(folder, EVENTS)

    assert compared(store, expected) == []
    assert compared(store, expected * 50) == []


@pytest.mark.parametrize(
    ("place", "changed", "difference"),
    [
        (1, {"uid": 0}, "uid is 0 instead of 1000"),
        (1, {"path": b"/usr/bin/false"}, "path is '/usr/bin/false' instead of '/usr/bin/true'"),
        (1, {"tty": 1}, "tty is 1 instead of 0"),
        (1, {"pid": CHILD + 1}, "pid is 43 instead of 42"),
        (2, {"status": 9}, "exit_code is 0 instead of 7"),
        (2, {"pid": PID}, "0 rows instead of 1"),
    ],
)
def test_a_wrong_value_is_named(
    folder: Path,
    expected: list[Expected],
    place: int,
    changed: dict[str, int | bytes],
    difference: str,
) -> None:
    """For a row with one wrong value, the comparison prints it and the value that was expected."""
    events = list(EVENTS)
    events[place] = replace(events[place], **changed)  # type: ignore[arg-type]
    lines = compared(stored(folder, events), expected)

    assert lines
    assert difference in lines[0]
    assert all(line.startswith("one: kprocess_events {'event_type': ") for line in lines)


def test_a_missing_row_and_one_too_many_are_differences(
    folder: Path, expected: list[Expected]
) -> None:
    """The comparison of rows with an activity's log wants each expected row exactly once."""
    again = replace(EVENTS[1], seq=4)

    (line,) = compared(stored(folder, EVENTS[:2]), expected)
    assert line.endswith("'pid': 42}: 0 rows instead of 1")
    (folder / "events.db").unlink()
    (line,) = compared(stored(folder, (*EVENTS, again)), expected)
    assert line.endswith(": 2 rows instead of 1")


def test_a_number_as_text_is_a_difference(folder: Path, expected: list[Expected]) -> None:
    """The comparison rejects the number 41 where an activity's log has the text "41"."""
    wrong = replace(expected[0], values={"pid": str(PID)})

    (line,) = compared(stored(folder, EVENTS), [wrong])
    assert line.endswith("pid is 41 instead of '41'")


def impossible() -> dict[str, str]:
    """Return the steps that cannot run on this machine, and why."""
    steps = {}
    if not os.access("/proc/1/exe", os.R_OK):
        steps["programs.an_orphan"] = "nobody may see what process 1 runs"
    if not Path("/usr/bin/sudo").exists():
        steps |= dict.fromkeys(("identities.sudo", "identities.sudo_as_a_user"), "no sudo")
    if not Path("/sys/fs/cgroup/cgroup.procs").exists():
        steps["spaces.a_control_group"] = "no unified hierarchy of control groups"
    if not Path("/usr/bin/curl").exists():
        steps["sockets.curl"] = "no curl"
    if not shutil.which("setcap"):
        steps["identities.file_capabilities"] = "no setcap"
    return steps


@pytest.mark.skipif(os.geteuid() != 0, reason="the steps change users and namespaces")
def test_the_steps_run_and_all_columns_of_their_log_exist(folder: Path) -> None:
    """The activity's steps run on this machine; the columns that they expect are in our tables.

    That each row is missing, and none is an error of SQL, shows that its columns exist.
    """
    log, left_out = folder / "log", impossible()
    folder.chmod(0o755)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "activity", str(log), str(folder / "work"), "--storm", "300"),
            *("--leave-out", *left_out),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests" / "subscriber_guest")},
        check=False,
        capture_output=True,
        text=True,
        timeout=STEPS_S,
    )
    print(f"{done.stdout.splitlines()[-1:]}, left out: {left_out}")  # noqa: T201

    assert done.returncode == 0, done.stderr
    expected = list(read(log))
    steps = {one.step for one in expected}
    assert len(steps | set(left_out)) > 60
    assert done.stdout.endswith(f"\n{len(steps)} steps\n")
    rows = [one for one in expected if one.step != "storm"]
    lines = compared(stored(folder, ()), rows)
    assert len(lines) == len(rows)
    assert all(line.endswith(": 0 rows instead of 1") for line in lines)
    storm = [one for one in expected if one.step == "storm"]
    assert len(compared(folder / "events.db", storm)) == len(storm) + 3
