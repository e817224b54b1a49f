# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.toml_file: a file becomes a table, or an error that names the file."""

from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.host import toml_file


def test_a_toml_file_is_returned_as_a_table(tmp_path: Path) -> None:
    """A TOML file is returned as a table."""
    file = tmp_path / "good.toml"
    file.write_text("[a]\nb = 1\n")

    assert toml_file.read(file) == {"a": {"b": 1}}


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf[a]\nb = 1\n", b"[a]\r\nb = 1\r\n"])
def test_a_byte_order_mark_and_line_ends_of_windows_are_accepted(
    tmp_path: Path, content: bytes
) -> None:
    """Editors of Windows write both."""
    file = tmp_path / "windows.toml"
    file.write_bytes(content)

    assert toml_file.read(file) == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        (b"a = ", "not valid TOML"),
        (b"\xff", "valid TOML"),
        (b"a = 1\na = 2", "not valid TOML"),
        (b"a = " + b"[" * 100_000, "not valid TOML"),
        (b"a = 1" + b"0" * 5000, "not valid TOML"),
        (b'a.b = [{ c = "\\u0000" }]', r"a\.b\.c: has a NUL character"),
        (b'"a\\u0000" = 1', "has a NUL character"),
    ],
)
def test_a_missing_file_broken_toml_and_bytes_that_are_not_utf_8_are_config_errors(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    """A missing file, broken TOML and bytes that are not UTF-8 each raise ConfigError."""
    file = tmp_path / "bad.toml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError, match=words) as caught:
        toml_file.read(file)

    assert caught.value.file == file
