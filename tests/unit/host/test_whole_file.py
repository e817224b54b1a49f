# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.whole_file: at any time a file has the complete old content or the new one."""

from pathlib import Path

import pytest

from harness.host import whole_file


def test_text_and_bytes_replace_the_content_of_a_file(tmp_path: Path) -> None:
    """A lone surrogate in the text, which UTF-8 cannot encode, is written as an escape."""
    file = tmp_path / "file"
    file.write_text("old")

    whole_file.write(file, "new \udcff")
    assert file.read_text() == "new \\udcff"
    whole_file.write(file, b"\xff")
    assert file.read_bytes() == b"\xff"

    assert list(tmp_path.iterdir()) == [file]


def test_an_error_while_writing_leaves_the_old_content_and_no_temporary_file(
    tmp_path: Path,
) -> None:
    """After an error while writing, the file has its old content and no temporary file is left."""
    file = tmp_path / "file"
    file.write_text("old")

    with pytest.raises(ValueError, match="stop"), whole_file.replacing(file) as beside:
        beside.write_text("half")
        raise ValueError("stop")

    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
