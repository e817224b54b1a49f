# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests that rows which the configuration leaves out are never made, and all others are stored."""

from pathlib import Path
from typing import Any

import pytest

from _libosq import lib
from tests.subscriber.events import record_bytes
from tests.subscriber.host import Daemon, Host, ask, number
from tests.subscriber.test_daemon import drained, subscribed

RECORDS = (
    record_bytes("fork", pid=5, tid=5, child_pid=5, child_tid=6),
    record_bytes("fork", pid=5, tid=5, child_pid=7, child_tid=7),
    record_bytes("exit", pid=5, tid=6, last=0),
    record_bytes("exit", pid=7, tid=7, last=1),
    record_bytes("socket", pid=5, action=lib.OSQ_SOCKET_CONNECT),
    record_bytes("socket", pid=5, action=lib.OSQ_SOCKET_CLOSE),
)
TYPES = ["fork", "exit", "socket"]


@pytest.mark.parametrize(
    ("own", "rows", "filtered"),
    [
        ({}, ["thread_fork", "fork", "thread_exit", "exit", "connect", "close"], 0),
        ({"threads": False}, ["fork", "exit", "connect", "close"], 2),
        (
            {"socket_actions": ["connect", "accept"]},
            ["thread_fork", "fork", "thread_exit", "exit", "connect"],
            0,
        ),
    ],
)
def test_threads_and_socket_actions_that_the_configuration_leaves_out_have_no_row(
    host: Host, folder: Path, own: dict[str, Any], rows: list[str], filtered: int
) -> None:
    """The driver's core makes no record of them; threads' count as filtered in kosquery_stats."""
    with Daemon(host, folder, {"records": TYPES, **own}) as daemon:
        subscribed(daemon)
        host.publish(*RECORDS)
        drained(host)
        assert daemon.stop() == 0

    sql = """SELECT event_type FROM (SELECT eid, event_type FROM kprocess_events
        UNION ALL SELECT eid, action FROM ksocket_events) ORDER BY eid"""
    assert [row[0] for row in ask(daemon.store, sql)] == rows
    assert number(daemon.store, "SELECT sum(filtered) FROM kosquery_stats") == filtered
