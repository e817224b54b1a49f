# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""toml_file: a table, or an error that names the file."""

from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.host import toml_file


def test_a_table_is_read(tmp_path: Path) -> None:
    """As TOML has it."""
    file = tmp_path / "good.toml"
    file.write_text("[a]\nb = 1\n")

    assert toml_file.read(file) == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read: No such file"), (b"a = ", "not valid TOML"), (b"\xff", "valid TOML")],
)
def test_what_is_no_toml_is_a_config_error(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    """A missing file, a broken one, and one that is no text."""
    file = tmp_path / "bad.toml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError, match=words) as caught:
        toml_file.read(file)

    assert caught.value.file == file
