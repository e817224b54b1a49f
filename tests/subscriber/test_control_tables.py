# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of rows of what changes the machine or other processes, and of what a process used."""

from pathlib import Path

from _libosq import lib
from tests.subscriber.events import a_record, an_exec
from tests.subscriber.host import ask
from tests.subscriber.test_event_tables import ACTOR, FILE, stored


def test_a_namespace_events_row_has_where_what_and_the_namespaces_that_changed(
    folder: Path,
) -> None:
    """A mount has its target, source and kind; a switch has the kinds that it replaces."""
    mount = a_record(
        "namespace",
        spans={"path": b"/mnt", "source": b"/dev/sdb", "fs": b"ext4"},
        seq=2,
        pid=5,
        actor=ACTOR,
        caller={"syscall": 165, "uid": 1, "euid": 2, "auid": 3, "session": 4},
        action=lib.OSQ_NAMESPACE_MOUNT,
        mount_flags=2**63,
    )
    switch = a_record(
        "namespace",
        seq=3,
        pid=6,
        action=lib.OSQ_NAMESPACE_SWITCH,
        changed=lib.OSQ_NS_MNT | lib.OSQ_NS_NET,
        mnt_ns=7,
        user_ns=8,
        pid_ns=9,
    )
    sql = """SELECT action, target, source, fs, mount_flags, changed, mnt_ns, user_ns, pid_ns,
        path, syscall, uid, euid, auid, session_id FROM knamespace_events ORDER BY eid"""

    assert ask(stored(folder, an_exec(seq=1, pid=5, **FILE), mount, switch), sql) == [
        (
            *("mount", "/mnt", "/dev/sdb", "ext4", -(2**63), "", 0, 0, 0),
            *("/usr/bin/printf", 165, 1, 2, 3, 4),
        ),
        ("switch", "", "", "", 0, "mnt,net", 7, 8, 9, None, 0, 0, 0, 0, 0),
    ]


def test_a_bpf_events_row_has_the_program_as_bpftool_shows_it(folder: Path) -> None:
    """A row of bpf has the program's number, its tag in hexadecimal, and what it is for."""
    event = a_record(
        "bpf",
        spans={"name": b"run", "target": b"sched_switch"},
        seq=2,
        pid=5,
        actor=ACTOR,
        caller={"syscall": 321, "uid": 1, "euid": 2, "auid": 3, "session": 4},
        action=lib.OSQ_BPF_ATTACH,
        command=17,
        prog_id=9,
        prog_type=6,
        tag=bytes(range(250, 256)) + b"\0\1",
        insns=2,
    )
    sql = """SELECT action, command, prog_id, prog_type, insns, tag, name, target, path, uid, euid,
        auid, session_id FROM kbpf_events"""

    assert ask(stored(folder, an_exec(seq=1, pid=5, **FILE), event), sql) == [
        (
            *("attach", 17, 9, 6, 2, "fafbfcfdfeff0001", "run", "sched_switch"),
            *("/usr/bin/printf", 1, 2, 3, 4),
        )
    ]


def test_a_kexec_events_row_has_the_file_and_the_command_line_of_the_new_kernel(
    folder: Path,
) -> None:
    """A row of kexec has the file, the command line and who gave them."""
    event = a_record(
        "kexec",
        spans={"path": b"/boot/k", "cmdline": b"quiet"},
        seq=2,
        pid=5,
        actor=ACTOR,
        caller={"syscall": 320, "uid": 1, "euid": 2, "auid": 3, "session": 4},
        action=lib.OSQ_KEXEC_BY_FILE,
        kexec_flags=2**63,
        file_dev=7,
        file_ino=8,
    )
    sql = """SELECT action, file, file_device, file_inode, cmdline, kexec_flags, path, uid, euid,
        auid, session_id FROM kkexec_events"""

    assert ask(stored(folder, an_exec(seq=1, pid=5, **FILE), event), sql) == [
        ("by_file", "/boot/k", 7, 8, "quiet", -(2**63), "/usr/bin/printf", 1, 2, 3, 4)
    ]


def test_a_signal_events_row_has_the_signal_and_its_target(folder: Path) -> None:
    """A row of signals has the number, who sends it, and the whole target."""
    event = a_record(
        "signal",
        seq=2,
        pid=5,
        actor=ACTOR,
        caller={"syscall": 62, "uid": 1, "euid": 2, "auid": 3, "session": 4},
        signal=9,
        target={"pid": 6, "tid": 7, "start_boot_ns": 8, "dev": 9, "ino": 2**64 - 1, "uid": 10},
    )
    sql = """SELECT signal, path, syscall, uid, euid, auid, session_id, target_pid, target_tid,
        target_start_ntime, target_device, target_inode, target_uid, target_euid
        FROM ksignal_events"""

    assert ask(stored(folder, an_exec(seq=1, pid=5, **FILE), event), sql) == [
        (9, "/usr/bin/printf", 62, 1, 2, 3, 4, 6, 7, 8, 9, -1, 10, 0)
    ]


def test_an_exit_has_the_largest_memory_of_its_process(folder: Path) -> None:
    """The row of an exit has the process's largest memory, and that of an exec has none."""
    event = a_record("exit", seq=2, pid=5, tid=5, status=0, last=1, max_rss_bytes=2**40)
    sql = "SELECT event_type, max_rss_bytes FROM kprocess_events ORDER BY eid"

    assert ask(stored(folder, an_exec(seq=1, pid=5), event), sql) == [
        ("exec", None),
        ("exit", 2**40),
    ]
