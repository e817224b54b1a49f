# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of `osq doctor`: it finds each fault of a machine, and says what to do about it."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from osq import cli
from osq.doctor import place
from osq.doctor.checkup import checkup, is_missing, lines
from osq.doctor.findings import Finding, Level
from osq.doctor.machine import Machine
from osq.reader import Reader
from osq.retention import Limits
from osq.store import Store

RELEASE = "6.1.0-test"
STORE = "/var/lib/osq/events.db"
DEVICE = "/dev/osquery"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the machine's files belong to root")


def write(machine: Machine, path: str, text: str = "") -> Path:
    """Write a file of the machine."""
    file = machine.at(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def process(machine: Machine, pid: int, name: str, *arguments: str, holds: str = "") -> None:
    """Let a process run on the machine."""
    write(machine, f"/proc/{pid}/comm", f"{name}\n")
    write(machine, f"/proc/{pid}/cmdline", "\0".join((name, *arguments)) + "\0")
    folder = machine.at(f"/proc/{pid}/fd")
    folder.mkdir()
    if holds:
        (folder / "3").symlink_to(holds)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Give a machine on which everything is right; its clock shows the time of its last row."""
    one = Machine(root=tmp_path, release=RELEASE, now_s=0, is_synchronised=True)
    one.at("/sys/module/osq").mkdir(parents=True)
    write(one, DEVICE).chmod(0o600)
    write(one, "/etc/ssh/sshd_config")
    process(one, 1, "systemd")
    process(one, 700, "python3", "-I", "/usr/bin/osq", "daemon", holds=DEVICE)
    content = {"file_paths": {"etc": ["/etc/%%"]}, "osq": {"store_max_mib": 1}}
    write(one, "/etc/osq/osq.conf", json.dumps(content))
    store = write(one, STORE)
    store.unlink()
    with Store(store, Limits()) as begun:
        begun.begin()
        begun.end(begun.totals, "clean")
    with Reader(store) as reader:
        (row,) = reader.query("SELECT max(time) FROM kosquery_stats", deadline_s=60).rows
    return dataclasses.replace(one, now_s=int(str(row[0])))


def found(machine: Machine) -> dict[str, Finding]:
    """Return the findings that are not ok, by subject."""
    return {one.subject: one for one in checkup(machine, None) if one.level is not Level.OK}


def test_a_machine_on_which_everything_is_right_has_only_lines_that_say_ok(
    machine: Machine,
) -> None:
    """For files that look like a healthy machine, each check of `osq doctor` prints ok."""
    findings = list(checkup(machine, None))

    assert {one.subject for one in findings} == {
        *("driver", "config", "device", "store", "disk", "watches", "clock", "audit")
    }
    assert not is_missing(findings)
    assert all(line.startswith("ok ") for line in lines(findings))


def unload(machine: Machine) -> None:
    """Take the driver away, and leave its file."""
    machine.at("/sys/module/osq").rmdir()
    write(machine, f"/lib/modules/{RELEASE}/modules.dep", "updates/osq/osq.ko:\n")


def uninstall(machine: Machine) -> None:
    """Take the driver away, and its file."""
    machine.at("/sys/module/osq").rmdir()


def let_osqtail_read(machine: Machine) -> None:
    """Let another program have the device."""
    machine.at("/proc/700/fd/3").unlink()
    process(machine, 800, "osqtail", holds=DEVICE)


def miss_a_watch(machine: Machine) -> None:
    """Let the daemon report two paths that it cannot watch as they were meant."""
    with Store(machine.at(STORE), Limits()) as begun:
        begun.begin()
        begun.unwatched = 2
        begun.end(begun.totals, "clean")


FAULTS: list[tuple[Callable[[Machine], object], str, Level, str, str]] = [
    (unload, "driver", Level.MISSING, "not loaded", "modprobe osq"),
    (uninstall, "driver", Level.MISSING, "no module osq for", f"linux-headers-{RELEASE}"),
    (
        lambda one: write(one, "/proc/sys/kernel/ftrace_enabled", "0\n"),
        *("driver", Level.MISSING, "ftrace_enabled is 0", "sysctl kernel.ftrace_enabled=1"),
    ),
    (
        lambda one: write(one, "/sys/kernel/debug/kprobes/enabled", "0\n"),
        *("driver", Level.MISSING, "kprobes are switched off", "echo 1 >"),
    ),
    (
        lambda one: one.at(DEVICE).unlink(),
        *("device", Level.MISSING, "there is no /dev/osquery", "modprobe osq"),
    ),
    (
        lambda one: one.at(DEVICE).chmod(0o666),
        *("device", Level.NOTE, "has mode 666", "udev rule"),
    ),
    (
        lambda one: one.at("/proc/700/fd/3").unlink(),
        *("device", Level.MISSING, "no process reads", "systemctl enable --now osq-subscriber"),
    ),
    (let_osqtail_read, "device", Level.MISSING, "read by osqtail, pid 800", "systemctl stop"),
    (
        lambda one: write(one, "/etc/osq/osq.conf", '{"osq": {"ring": 1}}'),
        *("config", Level.MISSING, "osq.ring: unknown", "correct it"),
    ),
    (
        lambda one: one.at(STORE).unlink(),
        *("store", Level.MISSING, "no such store", "is the daemon running"),
    ),
    (
        lambda one: write(one, "/etc/osq/osq.conf", '{"file_paths": {"x": ["/srv/none/%%"]}}'),
        *("watches", Level.NOTE, "/srv/none does not exist", "correct file_paths"),
    ),
    (
        lambda one: write(one, "/etc/osq/osq.conf", "{}"),
        *("watches", Level.NOTE, "no file is watched", "file_paths"),
    ),
    (
        miss_a_watch,
        *("watches", Level.MISSING, "2 watched paths are not watched", "journalctl"),
    ),
    (
        lambda one: process(one, 600, "auditd"),
        *("audit", Level.NOTE, "auditd, pid 600, records as well", "seccomp_events"),
    ),
]


@pytest.mark.parametrize(("spoil", "subject", "level", "message", "advice"), FAULTS)
def test_each_fault_of_a_machine_has_a_line_that_says_what_to_do(
    machine: Machine,
    spoil: Callable[[Machine], object],
    subject: str,
    level: Level,
    message: str,
    advice: str,
) -> None:
    """`osq doctor` finds a planted fault in a machine's files, with its level and its advice."""
    spoil(machine)

    one = found(machine)[subject]

    assert one.level is level
    assert message in one.message
    assert advice in one.advice
    assert is_missing(found(machine).values()) is (level is Level.MISSING)


def test_an_old_row_a_clock_that_was_set_back_and_one_that_nobody_sets_are_found(
    machine: Machine,
) -> None:
    """`osq doctor` compares the last row's time with the clock, and asks who sets the clock."""
    later = dataclasses.replace(machine, now_s=machine.now_s + 3600)
    earlier = dataclasses.replace(machine, now_s=machine.now_s - 3600)
    unset = dataclasses.replace(machine, is_synchronised=False)

    assert found(later)["store"].level is Level.MISSING
    assert "its last row is 3600 s old" in found(later)["store"].message
    assert "it was set back" in found(earlier)["clock"].message
    assert "time service" in found(unset)["clock"].advice


def test_a_disk_without_room_for_the_store_is_a_note_and_a_full_one_is_missing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`osq doctor` notes a disk below store_max_mib; too little for the next batch is MISSING."""
    write(machine, "/etc/osq/osq.conf", '{"osq": {"store_max_mib": 1048576}}')
    roomy = found(machine)["disk"]
    monkeypatch.setattr(place, "_LEAST_FREE_BYTES", 1 << 60)

    assert (roomy.level, "lower osq.store_max_mib" in roomy.advice) == (Level.NOTE, True)
    assert found(machine)["disk"].level is Level.MISSING


def test_doctor_exits_with_1_when_something_is_missing_and_with_2_when_it_is_not_root(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command `osq doctor` exits with 0, 1 or 2, and prints the findings or asks for sudo."""
    monkeypatch.setattr(Machine, "this", classmethod(lambda _: machine))
    assert cli.main(("doctor",)) == 0
    assert "ok       driver" in capsys.readouterr().out

    uninstall(machine)
    assert cli.main(("doctor",)) == 1
    assert "MISSING  driver" in capsys.readouterr().out
    monkeypatch.undo()

    assert Machine.this().root == Path("/")
    assert Machine.this().now_s > 0
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main(("doctor",)) == 2
    assert "sudo osq doctor" in capsys.readouterr().err
