# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The configuration file: osquery's keys where osquery has them, all others under "osq".

    {
      "options": {"events_expiry": 604800, "events_max": 5000000},
      "events": {"environment_variables": ["SSH_CONNECTION", "SUDO_USER"]},
      "osq": {
        "store": "/var/lib/osq/events.db",
        "records": ["exec", "fork", "exit"],
        "filters": {"exec": {"exclude": {"uids": ["100-999"], "paths": ["/usr/lib/nagios"]}}},
        "tables": {"kloss_events": {"events_expiry": 0}}
      }
    }

Other keys of osquery are ignored, so osquery and osq can share one file. An unknown key under
"osq" is an error.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from osq.errors import ConfigError
from osq.filters import FilterSpec, filters_of
from osq.layout import TYPES_BY_NAME
from osq.paths import Paths, paths_of
from osq.retention import Limits, Retention
from osq.ring import default_device
from osq.sections import Section
from osq.socket_events import ACTIONS
from osq.tables import BY_NAME

DEFAULT_CONFIG = Path("/etc/osq/osq.conf")
DEFAULT_STORE = Path("/var/lib/osq/events.db")
_MIB = 1 << 20
_RECORDS = ("exec", "fork", "exit")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of `osq daemon` and its store, from a checked configuration file.

    Units: interval_s is the length of a row of kosquery_stats; shares are the percent of the ring
    that a type of records may fill.
    """

    device: Path
    store: Path = DEFAULT_STORE
    ring_bytes: int = 16 * _MIB
    latency_ms: int = 200
    batch_records: int = 2000
    interval_s: int = 10
    extension_bytes: int = 32 * _MIB
    records: tuple[str, ...] = _RECORDS
    threads: bool = True
    socket_actions: tuple[str, ...] = tuple(ACTIONS.values())
    environment_variables: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    paths: Paths = field(default_factory=Paths)
    filters: tuple[FilterSpec, ...] = ()
    shares: Mapping[str, int] = field(default_factory=dict)


def load(file: Path | None) -> Config:
    """Return the settings of a configuration file; `None` stands for the usual file in /etc.

    When that file does not exist either, the settings are the defaults.
    Raises: ConfigError for a file that cannot be read, and for a wrong key or value.
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
    root = Section(file, "", whole)
    own = root.section("osq")
    records = _records(own, with_files=bool(root.section("file_paths").keys()))
    config = Config(
        device=own.path("device", default_device()),
        store=own.path("store", DEFAULT_STORE),
        ring_bytes=_ring_bytes(own),
        latency_ms=own.number("latency_ms", 200, 1, 60_000),
        batch_records=own.number("batch_records", 2000, 1, 100_000),
        interval_s=own.number("interval_s", 10, 1, 3600),
        extension_bytes=own.number("extension_mib", 32, 1, 4096) * _MIB,
        records=records,
        threads=own.flag("threads", default=True),
        socket_actions=_socket_actions(own, records),
        environment_variables=root.section("events").strings("environment_variables", ()),
        limits=_limits(root, own),
        paths=_paths(root),
        filters=filters_of(own.section("filters"), records),
        shares=_shares(own.section("shares"), records),
    )
    own.refuse_others()
    return config


def _ring_bytes(own: Section) -> int:
    mib = own.number("ring_mib", 16, 1, 64)
    if mib & (mib - 1):
        raise own.refuse("ring_mib", "a power of two was expected")
    return mib * _MIB


def _records(own: Section, *, with_files: bool) -> tuple[str, ...]:
    chosen = own.strings("records", _RECORDS)
    # Paths to watch without the type of their records would record nothing.
    if with_files and "file" not in chosen:
        chosen = (*chosen, "file")
    for name in chosen:
        if name not in TYPES_BY_NAME or name in {"none", "lost", "test"}:
            raise own.refuse("records", f"{name}: no such type of records")
    return chosen


def _socket_actions(own: Section, records: tuple[str, ...]) -> tuple[str, ...]:
    known = tuple(ACTIONS.values())
    chosen = own.strings("socket_actions", known)
    if own.has("socket_actions") and "socket" not in records:
        raise own.refuse("socket_actions", "socket is not in osq.records, so it has no actions")
    if not chosen or not set(chosen) <= set(known):
        raise own.refuse("socket_actions", f"some of {', '.join(known)} were expected")
    return chosen


def _shares(section: Section, records: tuple[str, ...]) -> Mapping[str, int]:
    for name in section.keys():  # noqa: SIM118 - no mapping, a section of the file
        if name not in records:
            raise section.refuse(name, f"{name} is not in osq.records, so it has no share")
    return {name: section.number(name, 100, 1, 100) for name in section.keys()}  # noqa: SIM118


def _paths(root: Section) -> Paths:
    sections: dict[str, dict[str, tuple[str, ...]]] = {}
    for key in ("file_paths", "exclude_paths"):
        section = root.section(key)
        sections[key] = {category: section.strings(category, ()) for category in section.keys()}  # noqa: SIM118
    accesses = root.strings("file_accesses", ())
    for category in accesses:
        if category not in sections["file_paths"]:
            raise root.refuse("file_accesses", f"{category}: no category of file_paths")
    try:
        return paths_of(sections["file_paths"], sections["exclude_paths"], accesses)
    except ValueError as error:
        raise root.refuse("file_paths", str(error)) from error


def _limits(root: Section, own: Section) -> Limits:
    default = _retention(root.section("options"), Retention())
    tables = own.section("tables")
    by_table: Mapping[str, Retention] = {}
    for name in tables.keys():  # noqa: SIM118 - no mapping, a section of the file
        if name not in BY_NAME:
            raise tables.refuse(name, f"no such table; the tables are {', '.join(BY_NAME)}")
        section = tables.section(name)
        by_table = {**by_table, name: _retention(section, default)}
        section.refuse_others()
    max_mib = own.number("store_max_mib", 1024, 1, 1 << 20)
    return Limits(max_bytes=max_mib * _MIB, default=default, by_table=by_table)


def _retention(section: Section, default: Retention) -> Retention:
    return Retention(
        max_age_s=section.number("events_expiry", default.max_age_s, 0, 1 << 40),
        max_rows=section.number("events_max", default.max_rows, 0, 1 << 40),
    )
