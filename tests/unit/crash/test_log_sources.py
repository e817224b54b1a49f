# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""log_sources: a folder of crashes gives its logs, and the parts of one dump as one."""

from pathlib import Path

import pytest

from harness.crash import explain_log
from harness.crash.log_sources import Source, sources
from harness.errors import UsageError

NULL = Path(__file__).resolve().parents[2] / "data" / "panic" / "null.log"


def test_a_file_is_a_log_whatever_its_name() -> None:
    """Also standard input, and one that is not there: reading it says so."""
    assert sources(["-", "vmcore", "x/y"]) == (
        Source(name="-", files=(Path("-"),)),
        Source(name="vmcore", files=(Path("vmcore"),)),
        Source(name="x/y", files=(Path("x/y"),)),
    )


def test_the_parts_of_a_dump_are_put_together(tmp_path: Path) -> None:
    """Pstore keeps the last lines in part 1; the file names do not say the order."""
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


def test_a_folder_of_crashes_gives_its_logs(tmp_path: Path) -> None:
    """The text beside a memory image, and what apport wrote; the image itself is no log."""
    crash = tmp_path / "202611250939"
    crash.mkdir()
    for name in ("vmcore", "vmcore-dmesg.txt", "dmesg.202611250939", "dump.202611250939"):
        (crash / name).write_text("x")
    (tmp_path / "linux-image-6.1.crash").write_text("x")

    names = [Path(source.name).name for source in sources([str(tmp_path)])]

    assert names == ["dmesg.202611250939", "vmcore-dmesg.txt", "linux-image-6.1.crash"]


def test_a_folder_without_a_log_is_refused(tmp_path: Path) -> None:
    """By its name, with what would be one."""
    (tmp_path / "vmcore").write_text("x")

    with pytest.raises(UsageError, match="holds no log"):
        sources([str(tmp_path)])
