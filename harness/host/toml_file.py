# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A TOML file as a table: every one that a user writes is read here."""

import tomllib
from pathlib import Path
from typing import Any

from harness.errors import ConfigError


def read(file: Path) -> dict[str, Any]:
    """Return the table of a file.

    Raises: ConfigError when the file cannot be read, is no UTF-8, or is no TOML.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(file, "-", f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(file, "-", f"is no valid TOML: {error}") from error
