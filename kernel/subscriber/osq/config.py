# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The configuration: osquery's own keys where it has them, the rest under "osq".

    {
      "options": {"events_expiry": 604800, "events_max": 5000000},
      "events": {"environment_variables": ["SSH_CONNECTION", "SUDO_USER"]},
      "osq": {
        "store": "/var/lib/osq/events.db",
        "records": ["exec", "fork", "exit"],
        "tables": {"kloss_events": {"events_expiry": 0}}
      }
    }

Other keys of osquery's are passed over, so one file may serve both; an unknown key under "osq"
is an error.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from osq.errors import ConfigError
from osq.layout import TYPES_BY_NAME
from osq.paths import Paths, paths_of
from osq.retention import Limits, Retention
from osq.ring import default_device
from osq.tables import BY_NAME

DEFAULT_CONFIG = Path("/etc/osq/osq.conf")
DEFAULT_STORE = Path("/var/lib/osq/events.db")
_MIB = 1 << 20
_RECORDS = ("exec", "fork", "exit")
Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the daemon goes by.

    Units: interval_s is the length of a row of kosquery_stats.
    """

    device: Path
    store: Path = DEFAULT_STORE
    ring_bytes: int = 16 * _MIB
    latency_ms: int = 200
    batch_records: int = 2000
    interval_s: int = 10
    extension_rows: int = 5000
    records: tuple[str, ...] = _RECORDS
    environment_variables: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    paths: Paths = field(default_factory=Paths)


class _Section:
    """One object of the file; every value that is asked for is checked."""

    def __init__(self, file: Path, name: str, values: object) -> None:
        self._file, self._name = file, name
        if not isinstance(values, dict):
            raise ConfigError(file, name or "the file", "an object was expected")
        self._values: dict[str, Any] = values
        self._asked: set[str] = set()

    def get(self, key: str, default: Value, expected: str, check: Callable[[Any], bool]) -> Value:
        """Return a value, or the default where the key is not there."""
        self._asked.add(key)
        if key not in self._values:
            return default
        value = self._values[key]
        if not check(value):
            raise ConfigError(self._file, f"{self._name}.{key}".lstrip("."), expected)
        return value  # type: ignore[no-any-return]

    def number(self, key: str, default: int, least: int, most: int) -> int:
        """Return a whole number within bounds."""

        def is_right(value: object) -> bool:
            return type(value) is int and least <= value <= most

        return self.get(key, default, f"a number from {least} to {most} was expected", is_right)

    def strings(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Return a list of strings."""

        def is_right(value: object) -> bool:
            return isinstance(value, list) and all(isinstance(one, str) for one in value)

        return tuple(self.get(key, default, "a list of strings was expected", is_right))

    def path(self, key: str, default: Path) -> Path:
        """Return an absolute path."""

        def is_right(value: object) -> bool:
            return isinstance(value, str) and value.startswith("/")

        return Path(self.get(key, default, "an absolute path was expected", is_right))

    def section(self, key: str) -> "_Section":
        """Return an object within this one; an empty one where the key is not there."""
        self._asked.add(key)
        return _Section(self._file, f"{self._name}.{key}".lstrip("."), self._values.get(key, {}))

    def keys(self) -> tuple[str, ...]:
        """Return the keys that the file has here."""
        return tuple(self._values)

    def refuse_others(self) -> None:
        """Raise ConfigError for a key that nobody has asked for."""
        for key in self._values:
            if key not in self._asked:
                known = ", ".join(sorted(self._asked))
                raise ConfigError(self._file, f"{self._name}.{key}", f"unknown; known are {known}")

    def refuse(self, key: str, expected: str) -> ConfigError:
        """Return the error for a value that only the caller can judge."""
        return ConfigError(self._file, f"{self._name}.{key}".lstrip("."), expected)


def load(file: Path | None) -> Config:
    """Return the configuration of a file; without one the defaults, or those of /etc.

    Raises: ConfigError.
    """
    chosen = file or (DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None)
    return Config(device=default_device()) if chosen is None else _parse(chosen)


def _parse(file: Path) -> Config:
    try:
        whole = json.loads(file.read_text())
    except OSError as error:
        raise ConfigError(file, "the file", str(error.strerror)) from error
    except ValueError as error:
        raise ConfigError(file, "the file", f"no JSON: {error}") from error
    root = _Section(file, "", whole)
    own = root.section("osq")
    config = Config(
        device=own.path("device", default_device()),
        store=own.path("store", DEFAULT_STORE),
        ring_bytes=_ring_bytes(own),
        latency_ms=own.number("latency_ms", 200, 1, 60_000),
        batch_records=own.number("batch_records", 2000, 1, 100_000),
        interval_s=own.number("interval_s", 10, 1, 3600),
        extension_rows=own.number("extension_rows", 5000, 1, 1_000_000),
        records=_records(own, with_files=bool(root.section("file_paths").keys())),
        environment_variables=root.section("events").strings("environment_variables", ()),
        limits=_limits(root, own),
        paths=_paths(root),
    )
    own.refuse_others()
    return config


def _ring_bytes(own: _Section) -> int:
    mib = own.number("ring_mib", 16, 1, 64)
    if mib & (mib - 1):
        raise own.refuse("ring_mib", "a power of two was expected")
    return mib * _MIB


def _records(own: _Section, *, with_files: bool) -> tuple[str, ...]:
    chosen = own.strings("records", _RECORDS)
    if with_files and "file" not in chosen:
        chosen = (*chosen, "file")
    for name in chosen:
        if name not in TYPES_BY_NAME or name in {"none", "lost", "test"}:
            raise own.refuse("records", f"{name}: no such type of records")
    return chosen


def _paths(root: _Section) -> Paths:
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for key in ("file_paths", "exclude_paths"):
        section = root.section(key)
        found[key] = {category: section.strings(category, ()) for category in section.keys()}  # noqa: SIM118
    accesses = root.strings("file_accesses", ())
    for category in accesses:
        if category not in found["file_paths"]:
            raise root.refuse("file_accesses", f"{category}: no category of file_paths")
    try:
        return paths_of(found["file_paths"], found["exclude_paths"], accesses)
    except ValueError as error:
        raise root.refuse("file_paths", str(error)) from error


def _limits(root: _Section, own: _Section) -> Limits:
    default = _retention(root.section("options"), Retention())
    tables = own.section("tables")
    by_table: Mapping[str, Retention] = {}
    for name in tables.keys():  # noqa: SIM118 - no mapping, a section of the file
        if name not in BY_NAME:
            raise tables.refuse(name, f"no such table; there are {', '.join(BY_NAME)}")
        section = tables.section(name)
        by_table = {**by_table, name: _retention(section, default)}
        section.refuse_others()
    max_mib = own.number("store_max_mib", 1024, 1, 1 << 20)
    return Limits(max_bytes=max_mib * _MIB, default=default, by_table=by_table)


def _retention(section: _Section, default: Retention) -> Retention:
    return Retention(
        max_age_s=section.number("events_expiry", default.max_age_s, 0, 1 << 40),
        max_rows=section.number("events_max", default.max_rows, 0, 1 << 40),
    )
