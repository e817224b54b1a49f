# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of log_sources: files and folders of crash logs give the right list of logs."""

from pathlib import Path

import pytest

from harness.crash import explain_log
from harness.crash.log_sources import Source, sources
from harness.errors import UsageError

NULL = Path(__file__).resolve().parents[2] / "data" / "panic" / "null.log"


def test_a_file_of_any_name_and_minus_for_standard_input_are_each_taken_as_one_log() -> None:
    """A file of any name, a missing file and '-' for standard input are each one log."""
    assert sources(["-", "vmcore", "x/y"]) == (
        Source(name="-", files=(Path("-"),)),
        Source(name="vmcore", files=(Path("vmcore"),)),
        Source(name="x/y", files=(Path("x/y"),)),
    )


def test_the_parts_of_a_pstore_dump_are_joined(tmp_path: Path) -> None:
    """The parts of one pstore dump become one log, in the order of the part numbers inside."""
    lines = NULL.read_text().splitlines(keepends=True)
    parts = ["".join(lines[:30]), "".join(lines[30:60]), "".join(lines[60:])]
    for number, part in enumerate(parts):
        name = f"dmesg-efi_pstore-17000000000{number}00{number}"
        (tmp_path / name).write_text(f"Panic#1 Part{3 - number}\n{part}")

    (source,) = sources([str(tmp_path)])

    found = explain_log.explain_files(source.files)
    whole = explain_log.explain_file(NULL)
    assert source.name == str(tmp_path / "Panic#1")
    assert [one.kind for one in found.reports] == [one.kind for one in whole.reports]
    assert [one.function for one in found.reports] == [one.function for one in whole.reports]


def test_a_folder_of_crashes_gives_its_text_logs_but_no_memory_image(tmp_path: Path) -> None:
    """A folder such as /var/crash gives the logs of kdump-tools and apport, without the vmcore."""
    crash = tmp_path / "202611250939"
    crash.mkdir()
    for name in ("vmcore", "vmcore-dmesg.txt", "dmesg.202611250939", "dump.202611250939"):
        (crash / name).write_text("x")
    (tmp_path / "linux-image-6.1.crash").write_text("x")

    names = [Path(source.name).name for source in sources([str(tmp_path)])]

    assert names == ["dmesg.202611250939", "vmcore-dmesg.txt", "linux-image-6.1.crash"]


def test_a_folder_without_a_log_is_refused(tmp_path: Path) -> None:
    """A folder with a memory image but no log raises UsageError."""
    (tmp_path / "vmcore").write_text("x")

    with pytest.raises(UsageError, match="contains no log"):
        sources([str(tmp_path)])
