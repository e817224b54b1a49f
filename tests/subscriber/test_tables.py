# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the tables: osquery's columns and types, right values, a current documentation page."""

import re
from pathlib import Path

import pytest

from osq import column_map
from osq.columns import Context, Table
from osq.completeness import Totals
from osq.layout import FLAG_NAMES
from osq.process_events import PROCESS_EVENTS
from osq.records import Exec
from osq.retention import Limits
from osq.store import Store
from osq.tables import TABLES
from osq.values import signed, text
from tests.subscriber.building import ROOT
from tests.subscriber.events import a_fork, an_exec
from tests.subscriber.host import ask

NO_CLOCK = Context(realtime_offset_ns=0)
# The columns of process_events and their types, from osquery's own specification for Linux.
PROCESS_EVENTS_OF_OSQUERY = {
    **dict.fromkeys(("path", "mode", "cmdline", "env", "cwd", "overflows", "eid"), "TEXT"),
    **dict.fromkeys(("pid", "parent", "cmdline_size", "env_count", "env_size"), "BIGINT"),
    **dict.fromkeys(("auid", "uid", "euid", "gid", "egid", "owner_uid", "owner_gid"), "BIGINT"),
    **dict.fromkeys(("atime", "mtime", "ctime", "btime", "time", "uptime"), "BIGINT"),
    **dict.fromkeys(("fsuid", "suid", "fsgid", "sgid"), "BIGINT"),
    "syscall": "TEXT",
}
BPF = {"tid", "cid", "exit_code", "probe_error", "duration", "json_cmdline", "ntime"}
ENDPOINT_SECURITY = {"seq_num", "global_seq_num", "event_type", "child_pid", "cmdline_count"}
FLAG_NUMBERS = {name: number for number, name in FLAG_NAMES.items()}


def test_kprocess_events_has_osquerys_columns_and_types() -> None:
    """kprocess_events has each column of osquery's process_events, with its type."""
    ours = {column.name: column.kind for column in PROCESS_EVENTS.columns}

    assert {name: ours.get(name) for name in PROCESS_EVENTS_OF_OSQUERY} == (
        PROCESS_EVENTS_OF_OSQUERY
    )
    assert set(ours) >= BPF | ENDPOINT_SECURITY


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_no_table_has_two_columns_of_one_name(table: Table) -> None:
    """No table has two columns of one name, which SQLite would rename silently."""
    names = [column.name for column in table.columns]

    assert len(names) == len(set(names))


def test_the_documentation_page_of_columns_ends_with_the_generated_text() -> None:
    """docs/subscriber-tables.md equals column_map.markdown after its head."""
    page = (ROOT / "docs" / "subscriber-tables.md").read_text()

    assert page.endswith("\n".join(column_map.markdown(TABLES)))


def row_of(folder: Path, *events: object, variables: frozenset[bytes] = frozenset()) -> Path:
    """Store events, and return the row of the last one."""
    path = folder / "events.db"
    context = Context(realtime_offset_ns=10**18, environment_variables=variables)
    with Store(path, Limits(max_bytes=1 << 30)) as store:
        store.begin()
        store.commit(list(events), Totals(), context, close_interval=False)  # type: ignore[arg-type]
    return path


def test_an_exec_row_has_escaped_arguments_an_octal_mode_and_times_in_seconds(
    folder: Path,
) -> None:
    """An Exec event becomes such a row of kprocess_events."""
    event = an_exec(
        seq=5, ts_boot_ns=3 * 10**9, mode=0o100755, mtime_ns=1_999_999_999, auid=2**32 - 1
    )
    store = row_of(folder, event, variables=frozenset({b"A", b"B"}))

    sql = """SELECT event_type, path, cmdline, json_cmdline, env, mode, mtime, auid, time, uptime,
        seq_num, overflows, probe_error FROM kprocess_events"""
    assert ask(store, sql) == [
        (
            *("exec", "/usr/bin/printf", "printf %s x \\xff", '["printf", "%s x", "\\\\xff"]'),
            *("A=1 B=3 4", "0100755", 1, 4294967295, 1_000_000_003, 3, 5, "", 0),
        )
    ]


def test_flags_of_a_truncated_exec_event_set_its_columns_overflows_and_probe_error(
    folder: Path,
) -> None:
    """With trunc_argv and partial_env in its flags, a row has "cmdline" and 1 there."""
    cut = an_exec(flags=FLAG_NUMBERS["trunc_argv"] | FLAG_NUMBERS["partial_env"])

    assert ask(row_of(folder, cut), "SELECT overflows, probe_error FROM kprocess_events") == [
        ("cmdline", 1)
    ]


def test_a_fork_within_one_process_has_the_event_type_thread_fork(folder: Path) -> None:
    """A Fork event whose child_pid is the parent's own pid is a thread's in kprocess_events."""
    events = (a_fork(seq=1, pid=5, child_pid=6, child_tid=6), a_fork(seq=2, pid=5, child_pid=5))
    store = row_of(folder, *events)

    assert ask(store, "SELECT event_type FROM kprocess_events ORDER BY eid") == [
        ("fork",),
        ("thread_fork",),
    ]


def test_unsigned_numbers_from_2_to_the_63_upwards_are_converted_to_negative_ones() -> None:
    """SQLite's integers are signed, so values.signed converts the kernel's numbers."""
    assert [signed(value) for value in (0, 2**63 - 1, 2**63, 2**64 - 1)] == [
        *(0, 2**63 - 1, -(2**63), -1)
    ]


def test_eids_sort_as_text_in_the_order_of_their_events(folder: Path) -> None:
    """Eids of events 1, 9, 10 and 100 have one width, since osquery compares them as text."""
    store = row_of(folder, *(an_exec(seq=number) for number in (1, 9, 10, 100)))

    by_eid = ask(store, "SELECT seq_num FROM kprocess_events ORDER BY eid")
    assert by_eid == [(1,), (9,), (10,), (100,)]


def test_environment_variables_the_configuration_does_not_name_are_not_stored() -> None:
    """The row of an Exec event with variables has no env if environment_variables is empty."""
    table = PROCESS_EVENTS
    make, insert = table.row_maker(Exec), table.insert(Exec)
    place = insert.partition("(")[2].partition(")")[0].split(", ").index("env")

    assert not make(1, 1, an_exec(), NO_CLOCK)[place]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"a\xffb", r"a\xffb"),
        (rb"a\xffb", r"a\x5cxffb"),
        (rb"a\x5cxffb", r"a\x5cx5cxffb"),
        (b"\\\xff", r"\\xff"),
        (rb"\\xff", r"\\x5cxff"),
        (rb"s/\./\x/ C:\xF", r"s/\./\x/ C:\xF"),
        ("\N{EURO SIGN}".encode(), "\N{EURO SIGN}"),
    ],
)
def test_text_shows_a_byte_and_the_text_of_its_escape_differently(raw: bytes, shown: str) -> None:
    """The result of values.text can be turned back into the bytes, whatever they are."""
    back = re.sub(
        rb"\\x([0-9a-f]{2})", lambda one: bytes.fromhex(one[1].decode()), text(raw).encode()
    )

    assert text(raw) == shown
    assert back == raw
