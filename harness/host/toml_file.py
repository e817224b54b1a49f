# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read a TOML file. Every TOML file that a user writes is read here."""

import tomllib
from pathlib import Path
from typing import Any

from harness.errors import ConfigError


def read(file: Path) -> dict[str, Any]:
    """Return the content of a TOML file as a table.

    Raises: ConfigError when the file cannot be read, is not UTF-8, or is not valid TOML.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(file, "-", f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(file, "-", f"is not valid TOML: {error}") from error
