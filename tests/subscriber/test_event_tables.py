# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the tables of sockets, files, modules, credentials, ptrace: right rows."""

import ipaddress
import socket
from pathlib import Path
from typing import Any

import pytest

from _libosq import ffi, lib
from osq.columns import Context
from osq.completeness import Totals
from osq.file_events import ACTIONS
from osq.layout import TYPES_BY_NAME, decode
from osq.paths import compiled, paths_of, watched
from osq.programs import Program, Programs
from osq.records import Event, File
from osq.retention import Limits
from osq.store import Store
from tests.subscriber.events import a_record, an_exec
from tests.subscriber.host import ask

# The file of the programs of these tests, as a record has it.
ACTOR = {"program_dev": 1, "program_ino": 2}
FILE = {"dev": 1, "ino": 2}


def stored(folder: Path, *events: Event, categories: dict[int, str] | None = None) -> Path:
    """Store events of one stream, and return the store."""
    before = Program(path="/usr/bin/top", dev=1, ino=3, was_there=True)
    programs = Programs({(77, 0): before}).follow(events)
    context = Context(realtime_offset_ns=0, programs=programs, categories=categories or {})
    path = folder / "events.db"
    with Store(path, Limits()) as store:
        store.begin()
        store.commit(events, Totals(), context, close_interval=False)
    return path


def test_a_connect_is_a_socket_event_with_both_addresses_and_its_program(folder: Path) -> None:
    """A connect record becomes a row of ksocket_events with these and the program's path."""
    event = a_record(
        "socket",
        spans={"local_path": b"", "remote_path": b""},
        seq=2,
        pid=5,
        action=lib.OSQ_SOCKET_CONNECT,
        status=lib.OSQ_SOCKET_FAILED,
        error=111,
        family=socket.AF_INET,
        protocol=6,
        local_addr=bytes([10, 0, 0, 1]) + bytes(12),
        local_port=40000,
        remote_addr=bytes([10, 0, 0, 2]) + bytes(12),
        remote_port=443,
        actor=ACTOR,
    )
    store = stored(folder, an_exec(seq=1, pid=5, **FILE), event)

    sql = """SELECT action, path, status, success, error, family, protocol, local_address,
        local_port, remote_address, remote_port, socket FROM ksocket_events"""
    assert ask(store, sql) == [
        (
            *("connect", "/usr/bin/printf", "failed", 0, 111, 2, 6),
            *("10.0.0.1", 40000, "10.0.0.2", 443, ""),
        )
    ]


def test_socket_events_show_ipv6_addresses_missing_addresses_and_unix_names(folder: Path) -> None:
    """ksocket_events has ::1, 0.0.0.0 for a port alone, "" for no address, and @x for UNIX."""
    empty = {"local_path": b"", "remote_path": b""}
    events = (
        a_record(
            *("socket",),
            spans=empty,
            seq=1,
            family=socket.AF_INET6,
            local_addr=bytes(15) + b"\1",
            local_port=1,
        ),
        a_record(*("socket",), spans=empty, seq=2, family=socket.AF_INET, local_port=80),
        a_record(*("socket",), spans=empty, seq=3, family=socket.AF_INET),
        a_record(*("socket",), spans={**empty, "local_path": b"\0x"}, seq=4, family=1),
    )
    sql = "SELECT local_address, socket FROM ksocket_events ORDER BY eid"
    any_address = str(ipaddress.IPv4Address(0))

    expected = [("::1", ""), (any_address, ""), ("", ""), ("", "@x")]
    assert ask(stored(folder, *events), sql) == expected


def test_a_module_events_row_has_the_modules_name_source_version_and_taints(folder: Path) -> None:
    """A decoded module record becomes such a row of kmodule_events; taints of 2 ** 63 fit, too."""
    event = a_record(
        "module",
        spans={"name": b"osq", "srcversion": b"AB", "args": b"a=1", "path": b"/o.ko"},
        seq=2,
        pid=5,
        action=lib.OSQ_MODULE_LOADED,
        taints=1 << 63,
        size_bytes=65536,
        actor=ACTOR,
        file_dev=8 << 32,
        file_ino=2**64 - 1,
    )
    sql = """SELECT action, name, version, srcversion, args, taints, size_bytes, path,
        file, file_device, file_inode, error FROM kmodule_events"""

    assert ask(stored(folder, an_exec(seq=1, pid=5, **FILE), event), sql) == [
        (
            *("loaded", "osq", "", "AB", "a=1", -(1 << 63), 65536, "/usr/bin/printf"),
            *("/o.ko", 8 << 32, -1, 0),
        )
    ]


def test_a_load_of_a_module_that_failed_has_its_error_and_file_and_no_name(folder: Path) -> None:
    """A load that failed has a row of its own with the error of the call."""
    spans = {"args": b"", "path": b"/tmp/bad.ko"}
    action = lib.OSQ_MODULE_FAILED
    event = a_record("module", spans=spans, seq=1, pid=5, action=action, error=8)
    sql = "SELECT action, name, file, error FROM kmodule_events"

    assert ask(stored(folder, event), sql) == [("failed", "", "/tmp/bad.ko", 8)]


def test_old_and_new_credentials_are_stored_in_separate_columns(folder: Path) -> None:
    """A decoded cred record fills old_* and now_* of kcredential_events, and `changed`."""
    record = ffi.new("struct osq_cred *")
    record.head.type, record.head.len = TYPES_BY_NAME["cred"], ffi.sizeof("struct osq_cred")
    record.head.seq, record.head.pid = 2, 5
    record.action = lib.OSQ_CRED_EXEC
    record.changed = lib.OSQ_CRED_UIDS | lib.OSQ_CRED_CAPS
    record.auid = 2**32 - 1
    record.old.uid, record.now.uid = 1000, 0
    record.old.permitted, record.now.permitted = 0, 2**64 - 1
    record.old.groups, record.now.user_ns = 3, 4026531837
    event = decode(bytes(ffi.buffer(record)))
    assert event is not None
    sql = """SELECT action, changed, auid, old_uid, now_uid, old_permitted, now_permitted,
        old_groups, now_groups, old_user_ns, now_user_ns FROM kcredential_events"""

    assert ask(stored(folder, event), sql) == [
        ("exec", "uids,caps", 2**32 - 1, 1000, 0, 0, -1, 3, 0, 0, 4026531837)
    ]


def test_a_ptrace_events_row_has_the_call_the_target_and_who_acts(folder: Path) -> None:
    """A decoded ptrace record becomes a row with target, both programs and the parent's start."""
    actor = {**ACTOR, "program_ino": 2**64 - 1, "parent_dev": 3, "parent_ino": 4}
    event = a_record(
        "ptrace",
        spans={},
        seq=2,
        pid=5,
        parent_start_boot_ns=6,
        action=lib.OSQ_PTRACE_ACCESS,
        syscall=311,
        target_pid=7,
        target_start_boot_ns=8,
        target_ino=9,
        target_uid=1000,
        actor=actor,
    )
    sql = """SELECT action, syscall, path, target_pid, target_start_ntime, target_inode,
        target_uid, parent_start_ntime, program_device, program_inode, parent_device, parent_inode
        FROM kptrace_events"""

    started = an_exec(seq=1, pid=5, dev=1, ino=2**64 - 1)
    assert ask(stored(folder, started, event), sql) == [
        (
            *("access", 311, "/usr/bin/printf", 7, 8, 9, 1000),
            *(6, 1, -1, 3, 4),
        )
    ]


def test_a_rename_is_a_file_event_with_both_paths_and_its_program(folder: Path) -> None:
    """In kfile_events ids are text, as in osquery; partial is true if the exec is not stored."""
    spans = {"path": b"/etc/a", "dest_path": b"/etc/b"}
    rename = lib.OSQ_FILE_RENAME
    events = (
        an_exec(seq=1, pid=5, **FILE),
        a_record("file", spans=spans, seq=2, pid=5, action=rename, uid=1000, actor=ACTOR),
        a_record(
            "file", spans=spans, seq=3, pid=77, action=rename, actor={**ACTOR, "program_ino": 3}
        ),
    )
    sql = """SELECT operation, executable != '', partial, path, dest_path, uid, category
        FROM kfile_events ORDER BY eid"""

    assert ask(stored(folder, *events, categories={2: "etc"}), sql) == [
        ("rename", 1, "false", "/etc/a", "/etc/b", "1000", "etc"),
        ("rename", 1, "true", "/etc/a", "/etc/b", "0", None),
    ]


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/etc/%%", "/etc/a/b", True),
        ("/etc/%%", "/etc", False),
        ("/etc/%", "/etc/a", True),
        ("/etc/%", "/etc/a/b", False),
        ("/people/%/.ssh/%%", "/people/x/.ssh/id", True),
        ("/people/%/.ssh/%%", "/people/x/y/.ssh/id", False),
        ("/etc/passwd", "/etc/passwd", True),
        ("/etc/passwd", "/etc/passwdx", False),
        ("/a.c/%", "/abc/x", False),
        ("/a/%.d", "/a/new\nline.d", True),
        ("/a/*.d", "/a/x.d", True),
    ],
)
def test_one_percent_sign_matches_within_a_path_component_and_two_match_across_components(
    pattern: str, path: str, *, matches: bool
) -> None:
    """In file_paths, /etc/% matches /etc/a and not /etc/a/b, which /etc/%% matches."""
    assert bool(compiled(pattern).fullmatch(path)) is matches


@pytest.mark.parametrize(
    ("pattern", "root"),
    [
        ("/etc/%%", "/etc"),
        ("/etc/a%/b", "/etc"),
        ("/etc/passwd", "/etc/passwd"),
        ("/etc/", "/etc"),
        ("/", "/"),
        ("/people/%/.ssh/%%", "/people"),
    ],
)
def test_the_watched_path_of_a_file_pattern_ends_before_its_first_component_with_a_wildcard(
    pattern: str, root: str
) -> None:
    """The driver can only watch whole folders: for /etc/a%/b of file_paths it watches /etc."""
    assert watched(pattern) == root


@pytest.mark.parametrize("pattern", ["etc/%%", "%%", "/%%", ""])
def test_a_relative_or_empty_pattern_and_one_for_the_whole_file_system_are_refused(
    pattern: str,
) -> None:
    """In file_paths, etc/%%, "", %% and /%% raise a ValueError."""
    with pytest.raises(ValueError, match="an absolute path"):
        paths_of({"x": (pattern,)}, {}, ())


def a_file(seq: int, path: bytes, action: int) -> File:
    """Return a file event in which only path and action matter."""
    zeros: dict[str, Any] = dict.fromkeys(File.__dataclass_fields__, 0)
    values = {**zeros, "seq": seq, "path": path, "dest_path": b"", "action": action}
    return File(**values)


def test_events_of_unlisted_and_excluded_files_and_unrequested_opens_are_ignored() -> None:
    """Of six events, those outside file_paths, in exclude_paths, and unasked opens drop out."""
    opened = next((number for number, name in ACTIONS.items() if name == "open"), -1)
    paths = paths_of(
        {"etc": ("/etc/%.conf",), "keys": ("/keys/%%",)}, {"etc": ("/etc/x.conf",)}, ("keys",)
    )
    events: list[Event] = [
        a_file(1, b"/etc/a.conf", 2),
        a_file(2, b"/etc/a.txt", 2),
        a_file(3, b"/etc/x.conf", 2),
        a_file(4, b"/keys/k", opened),
        an_exec(seq=5),
        a_file(6, b"/etc/a.conf", opened),
    ]
    wanted, categories = paths.choose(events)

    assert [event.seq for event in wanted] == [1, 4, 5]
    assert categories == {1: "etc", 4: "keys"}
    assert paths.watched == {"/etc": False, "/keys": True}
