# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of project.bench.instructions: work that is added to a record is found."""

import shutil
from pathlib import Path

import pytest

from harness.project.bench import instructions

PROJECT = Path(__file__).resolve().parents[4]
# The profile of a program that spends 7 instructions in itself: the library's own 30, and the two
# lines after calls=, are not its own.
PROFILE = """\
# callgrind format
events: Ir
ob=(5) /x/count_put
fn=(1) put
10 3
+2 1
cob=(7) /lib/libc.so.6
cfn=(2) memcpy
calls=1 20
* 30
-1 2
ob=(7)
fn=(2)
20 30
ob=(5)
fn=(3) claim
5 1
cfn=(1)
calls=1 10
6 36
"""


def test_only_the_programs_own_lines_are_summed() -> None:
    """From callgrind's file, costs of calls are left out, since the callee's lines have them."""
    assert instructions.own_cost(PROFILE, Path("/x/count_put")) == 7
    assert instructions.own_cost(PROFILE, Path("/lib/libc.so.6")) == 30


def test_work_added_to_a_record_is_an_objection_and_a_filtered_event_is_not(
    tmp_path: Path,
) -> None:
    """One more store in osq_ring_put fails the count; the filtered event's count stays."""
    for name in ("tests/bench", "tests/core", "kernel"):
        shutil.copytree(PROJECT / name, tmp_path / name)
    ring = tmp_path / "kernel" / "core" / "osq_ring.c"
    text = ring.read_text()
    planted = text.replace(
        "\trecord->ring_id = 0;\n", "\trecord->ring_id = 0;\n\trecord->cpu++;\n"
    )
    assert planted != text
    ring.write_text(planted)

    (objection,) = instructions.instructions(tmp_path)

    held = instructions.HELD["x86_64"]["put_records"]
    assert objection.startswith("put_records: ")
    assert f"{held} are held" in objection
    assert int(objection.split()[1]) > held


def test_missing_valgrind_is_an_objection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without valgrind the check of instruction counts fails and names the package."""
    program = tmp_path / "count_put"
    program.touch()
    monkeypatch.setattr(instructions, "_built", lambda *_: program)
    monkeypatch.setenv("PATH", str(tmp_path))

    found = "\n".join(instructions.instructions(PROJECT))

    assert "valgrind is not installed" in found
    assert "apt-get install valgrind" in found


def test_a_processor_without_numbers_is_an_objection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of instruction counts exist for named CPUs; on another one the check says so."""
    monkeypatch.setattr("platform.machine", lambda: "riscv64")

    assert list(instructions.instructions(PROJECT)) == [
        "no numbers for riscv64: add them to harness/project/bench/instructions.py"
    ]
