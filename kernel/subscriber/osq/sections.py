# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Access to the objects of the configuration file that checks every value and every key."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from osq.errors import ConfigError

Value = TypeVar("Value")


class Section:
    """One JSON object of the configuration file, whose values are checked as they are read.

    file: the name for error messages; name: the object's key in the file, "" for the whole file.
    Raises: ConfigError, in every method that reads a value, for a value that is not as expected.
    """

    def __init__(self, file: Path, name: str, values: object) -> None:
        self._file, self._name = file, name
        if not isinstance(values, dict):
            raise ConfigError(file, name or "the file", "an object was expected")
        self._values: dict[str, Any] = values
        self._asked: set[str] = set()

    def get(self, key: str, default: Value, expected: str, check: Callable[[Any], bool]) -> Value:
        """Return the value of a key, or the default when the key is missing.

        expected: what the error says when `check` returns False for the value.
        """
        self._asked.add(key)
        if key not in self._values:
            return default
        value = self._values[key]
        if not check(value):
            raise ConfigError(self._file, f"{self._name}.{key}".lstrip("."), expected)
        return value  # type: ignore[no-any-return]

    def number(self, key: str, default: int, least: int, most: int) -> int:
        """Return the value of a key, checked to be a whole number within bounds."""

        def is_right(value: object) -> bool:
            return type(value) is int and least <= value <= most

        return self.get(key, default, f"a number from {least} to {most} was expected", is_right)

    def flag(self, key: str, *, default: bool) -> bool:
        """Return the value of a key, checked to be true or false."""
        return self.get(
            key, default, "true or false was expected", lambda value: isinstance(value, bool)
        )

    def strings(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Return the value of a key, checked to be a list of strings."""

        def is_right(value: object) -> bool:
            return isinstance(value, list) and all(isinstance(one, str) for one in value)

        return tuple(self.get(key, default, "a list of strings was expected", is_right))

    def path(self, key: str, default: Path) -> Path:
        """Return the value of a key, checked to be an absolute path."""

        def is_right(value: object) -> bool:
            return isinstance(value, str) and value.startswith("/")

        return Path(self.get(key, default, "an absolute path was expected", is_right))

    def section(self, key: str) -> "Section":
        """Return the object under a key; an empty one when the key is missing."""
        self._asked.add(key)
        return Section(self._file, f"{self._name}.{key}".lstrip("."), self._values.get(key, {}))

    def has(self, key: str) -> bool:
        """Return whether the configuration has a value for this key."""
        return key in self._values

    def allow(self, key: str) -> None:
        """Count a key as known, so that refuse_others accepts it; the caller reads it later."""
        self._asked.add(key)

    def keys(self) -> tuple[str, ...]:
        """Return the keys that this object of the file has."""
        return tuple(self._values)

    def refuse_others(self) -> None:
        """Raise ConfigError if the object has a key that no method has read or allowed before."""
        for key in self._values:
            if key not in self._asked:
                known = ", ".join(sorted(self._asked))
                raise ConfigError(self._file, f"{self._name}.{key}", f"unknown; known are {known}")

    def refuse(self, key: str, expected: str) -> ConfigError:
        """Return, for the caller to raise, the error for a value that it has found to be wrong."""
        return ConfigError(self._file, f"{self._name}.{key}".lstrip("."), expected)
