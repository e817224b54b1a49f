# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the configuration: osquery's keys are accepted, and errors name the wrong key."""

import json
from pathlib import Path
from typing import Any

import pytest

from osq.config import load
from osq.errors import ConfigError
from osq.retention import Retention


def written(folder: Path, content: object) -> Path:
    """Write a configuration file and return its path."""
    path = folder / "osq.conf"
    path.write_text(json.dumps(content))
    return path


def test_in_a_configuration_shared_with_osquery_keys_that_only_osquery_knows_are_ignored(
    folder: Path,
) -> None:
    """The daemon can read osquery's own file: keys that only osquery knows raise no error."""
    config = load(
        written(
            folder,
            {
                "options": {"events_expiry": 100, "events_max": 2000, "host_identifier": "x"},
                "events": {"environment_variables": ["LANG"]},
                "schedule": {"q": {"query": "SELECT 1", "interval": 10}},
                "osq": {
                    "ring_mib": 32,
                    "store": "/x/events.db",
                    "records": ["exec"],
                    "shares": {"exec": 40},
                    "tables": {"kloss_events": {"events_expiry": 0}},
                },
            },
        )
    )

    assert (config.ring_bytes, config.shares) == (32 << 20, {"exec": 40})
    assert (config.store, config.records) == (Path("/x/events.db"), ("exec",))
    assert config.environment_variables == ("LANG",)
    assert config.limits.default == Retention(max_age_s=100, max_rows=2000)
    assert config.limits.by_table == {"kloss_events": Retention(max_age_s=0, max_rows=2000)}


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ([], "the file"),
        ({"osq": []}, "osq"),
        ({"osq": {"rings": 1}}, "osq.rings"),
        ({"osq": {"ring_mib": 20}}, "osq.ring_mib"),
        ({"osq": {"ring_mib": 128}}, "osq.ring_mib"),
        ({"osq": {"ring_mib": True}}, "osq.ring_mib"),
        ({"osq": {"store": "events.db"}}, "osq.store"),
        ({"osq": {"records": ["exec", "fork bomb"]}}, "osq.records"),
        ({"osq": {"records": "exec"}}, "osq.records"),
        ({"osq": {"threads": 0}}, "osq.threads"),
        ({"osq": {"socket_actions": ["connect"]}}, "osq.socket_actions"),
        ({"osq": {"records": ["socket"], "socket_actions": []}}, "osq.socket_actions"),
        ({"osq": {"records": ["socket"], "socket_actions": ["dup"]}}, "osq.socket_actions"),
        ({"osq": {"shares": {"file": 50}}}, "osq.shares.file"),
        ({"osq": {"shares": {"exec": 0}}}, "osq.shares.exec"),
        ({"osq": {"shares": {"exec": 101}}}, "osq.shares.exec"),
        ({"osq": {"tables": {"process_events": {}}}}, "osq.tables.process_events"),
        ({"osq": {"tables": {"kloss_events": {"max": 1}}}}, "osq.tables.kloss_events.max"),
        ({"osq": {"filters": []}}, "osq.filters"),
        ({"osq": {"filters": {"execs": {}}}}, "osq.filters.execs"),
        ({"osq": {"filters": {"socket": {}}}}, "osq.filters.socket"),
        ({"osq": {"filters": {"exec": []}}}, "osq.filters.exec"),
        ({"osq": {"filters": {"exec": {"uid": [0]}}}}, "osq.filters.exec.uid"),
        ({"osq": {"filters": {"exec": {"exclude": ["uids"]}}}}, "osq.filters.exec.exclude"),
        (
            {"osq": {"filters": {"exec": {"exclude": {"uid": [0]}}}}},
            "osq.filters.exec.exclude.uid",
        ),
        (
            {"osq": {"filters": {"exec": {"uids": [0], "exclude": {"uids": [1]}}}}},
            "osq.filters.exec.exclude.uids",
        ),
        ({"osq": {"filters": {"fork": {"paths": ["/usr"]}}}}, "osq.filters.fork.paths"),
        (
            {"osq": {"filters": {"fork": {"exclude": {"paths": ["/usr"]}}}}},
            "osq.filters.fork.exclude.paths",
        ),
        ({"options": {"events_expiry": "1"}}, "options.events_expiry"),
        ({"events": {"environment_variables": "LANG"}}, "events.environment_variables"),
    ],
)
def test_the_error_for_a_wrong_value_names_its_key(folder: Path, content: Any, key: str) -> None:
    """Loading a configuration file with a wrong value raises ConfigError with that value's key."""
    with pytest.raises(ConfigError) as caught:
        load(written(folder, content))

    assert caught.value.key == key


def test_the_error_for_a_missing_or_invalid_configuration_names_the_file(folder: Path) -> None:
    """Loading a file that does not exist, or is no JSON, raises ConfigError with its name."""
    path = folder / "osq.conf"
    with pytest.raises(ConfigError, match=r"osq\.conf: the file: No such file"):
        load(path)
    path.write_text("{")
    with pytest.raises(ConfigError, match=r"osq\.conf: the file: no JSON"):
        load(path)
