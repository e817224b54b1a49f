# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read a TOML file that a user writes, and the paths in it. Every such file is read here."""

import os
import tomllib
from pathlib import Path
from typing import Any

from harness.errors import ConfigError


def read(file: Path) -> dict[str, Any]:
    """Return the content of a TOML file as a table.

    Raises: ConfigError when the file cannot be read or is not UTF-8; the errors of `parsed`.
    """
    try:
        return parsed(file.read_text(encoding="utf-8"), file)
    except OSError as error:
        raise ConfigError(file, "-", f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(file, "-", f"is not valid TOML: {error}") from error


def parsed(text: str, file: Path) -> dict[str, Any]:
    """Return the table in the text of a TOML file; a byte order mark is ignored.

    Raises: ConfigError when it is not valid TOML, or holds a NUL character, which no path and no
        command can hold.
    """
    try:
        table = tomllib.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        # tomllib has no errors of its own for a number of thousands of digits and for thousands
        # of nested lists.
        raise ConfigError(file, "-", f"is not valid TOML: {error}") from error
    key = _key_with_nul(table)
    if key is not None:
        raise ConfigError(file, key, "has a NUL character")
    return table


def _key_with_nul(value: object, key: str = "") -> str | None:
    """Return the dotted key of the first text with a NUL character, or None without one."""
    if isinstance(value, str):
        return key if "\0" in value else None
    inner: list[tuple[str, object]] = []
    if isinstance(value, dict):
        inner = [(f"{key}.{name}".removeprefix("."), one) for name, one in value.items()]
    elif isinstance(value, list):
        inner = [(key, one) for one in value]
    found = (name if "\0" in name else _key_with_nul(one, name) for name, one in inner)
    return next((one for one in found if one is not None), None)


def located(root: Path, written: Path) -> Path:
    """Return a path that a user wrote as an absolute one; relative paths are relative to `root`.

    '~' is a home folder. That of an unknown user stays as it is written, and names no file.
    """
    # Path.expanduser raises a RuntimeError for an unknown user.
    return root / os.path.expanduser(written)  # noqa: PTH111


def is_file(path: Path) -> bool:
    """Return whether a path is a file; False also for a path that is too long for any file."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; False also for a path that is too long for any folder."""
    try:
        return path.is_dir()
    except OSError:
        return False
