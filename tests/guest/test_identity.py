# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Each record names the program that acts and that of its parent, also when the process ends."""

from dataclasses import dataclass

import pytest

from harness.systems.ssh import Guest
from tests.guest.tailing import Record, Tailing

FOLDER = "/var/tmp/identity"
TYPES = "--type exec --type fork --type exit --type socket --type file --ring-bytes 8388608"
OPTIONS = f"{TYPES} --watch {FOLDER}/watched"
EXITING = 0x8000
# A program of its own file for the parent and for the child.
SCRIPT = f"""
set -e; rm -rf {FOLDER}; mkdir -p {FOLDER}/watched
cp /bin/dash {FOLDER}/parent; cp $(command -v osqleave) {FOLDER}/child
for how in leave close; do
    {FOLDER}/parent -c '{FOLDER}/child "$1" {FOLDER}/watched/"$1"; echo $$' - $how
done
"""

Program = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Lives:
    """The records of a parent and its child, and the file of each program."""

    parent: Record
    child: list[Record]
    forks: list[Record]
    programs: tuple[Program, Program]


def program_of(record: Record, whose: str = "program") -> Program:
    """Return the file of the record's program, or of its parent's: device and inode."""
    return record[f"{whose}_dev"], record[f"{whose}_ino"]


@pytest.fixture(scope="module")
def kept() -> dict[str, Lives]:
    """Return the observation that the tests share: hooking is slow under emulation."""
    return {}


@pytest.fixture
def lives(kept: dict[str, Lives], guest: Guest, tail: Tailing) -> dict[str, Lives]:
    """Give the records of a child that leaves what it has open, and of one that closes it."""
    if not kept:
        with tail(OPTIONS) as running:
            said = guest.run(SCRIPT, deadline_s=60).stdout.split()
            files = guest.run(f"stat -c %i {FOLDER}/parent {FOLDER}/child", deadline_s=20).stdout
            seen = running.finish()
        assert seen.stats["dropped"] == 0
        pids = [int(word) for word in said]
        for how, child, parent in zip(("leave", "close"), pids[::2], pids[1::2], strict=True):
            (first,) = [one for one in seen.execs_of(f"{FOLDER}/parent") if one["pid"] == parent]
            of_child = [one for one in seen.records if one["pid"] == child]
            (second,) = [one for one in of_child if one["type"] == "exec"]
            assert [first["ino"], second["ino"]] == [int(word) for word in files.split()]
            kept[how] = Lives(
                parent=first,
                child=of_child,
                forks=[one for one in seen.records if one.get("child_pid") == child],
                programs=((first["dev"], first["ino"]), (second["dev"], second["ino"])),
            )
    return kept


@pytest.mark.parametrize("how", ["leave", "close"])
def test_each_record_of_a_process_has_its_program_and_its_parents_program_and_start(
    lives: dict[str, Lives], how: str
) -> None:
    """A child's exec, socket, file and exit records name the file that it and its parent run."""
    life = lives[how]
    parent, child = life.programs

    assert {one["type"] for one in life.child} == {"exec", "socket", "file", "exit"}
    assert {program_of(one) for one in life.child} == {child}
    assert {program_of(one, "parent") for one in life.child} == {parent}
    assert {one["ppid"] for one in life.child} == {life.parent["pid"]}
    assert {one["parent_start_boot_ns"] for one in life.child} == {life.parent["start_boot_ns"]}
    assert [program_of(one) for one in life.forks] == [parent]


@pytest.mark.parametrize("how", ["leave", "close"])
def test_what_the_kernel_closes_for_a_process_that_ends_is_flagged(
    lives: dict[str, Lives], how: str
) -> None:
    """Closes of a file and a socket have the flag EXITING if the process left them open."""
    child = lives[how].child
    flagged = {
        (one["type"], one["action"]) for one in child if one["flags"] & EXITING and "action" in one
    }

    assert {one["type"] for one in child if one["flags"] & EXITING} == {
        kind for kind, _ in flagged
    }
    assert flagged == ({("file", "close_write"), ("socket", "close")} if how == "leave" else set())
    assert {"close", "close_write"} <= {one.get("action") for one in child}


def test_the_parents_program_is_known_in_every_record_of_a_storm(
    guest: Guest, tail: Tailing
) -> None:
    """The records of 300 children at the same time all have the file that their parent runs."""
    script = "sh -c 'for n in $(seq 300); do /bin/true & done; wait; echo $$'"
    with tail("--type exec --type exit --ring-bytes 8388608") as running:
        root = int(guest.run(script, deadline_s=300).stdout)
        seen = running.finish()

    # A shell may have run it in its own place.
    first = [one for one in seen.records if one["type"] == "exec" and one["pid"] == root][-1]
    pids = {one["pid"] for one in seen.execs_of("/usr/bin/true") if one["ppid"] == root}
    children = [one for one in seen.records if one["pid"] in pids]
    assert (len(pids), len(children)) == (300, 600)
    assert {program_of(one, "parent") for one in children} == {(first["dev"], first["ino"])}
    assert {one["parent_start_boot_ns"] for one in children} == {first["start_boot_ns"]}
    assert len({program_of(one) for one in children}) == 1
