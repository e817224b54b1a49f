# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the daemon when it is killed, waits for its device, or lives with a wrong clock."""

import signal
from pathlib import Path

from tests.subscriber.host import Daemon, Host, ask, number, set_clock_ahead, stored, until
from tests.subscriber.test_daemon import drained, subscribed


def test_a_killed_daemon_leaves_a_session_that_is_not_complete_and_a_gap_after_it(
    host: Host, folder: Path
) -> None:
    """kosquery_stats ends the killed session as unclean; a row without a session follows it."""
    with Daemon(host, folder) as daemon:
        subscribed(daemon)
        daemon.pause()
        host.tell("burst 300")
        daemon.signal(signal.SIGKILL)
        daemon.wait()
    with Daemon(host, folder) as daemon:
        until(lambda: daemon.said().count("reading") > 1, "another daemon reads")
        host.tell("burst 7")
        drained(host)
        assert daemon.stop() == 0

    sql = "SELECT session NOT NULL, ending, complete, stored FROM kosquery_stats"
    assert ask(daemon.store, f"{sql} WHERE stored OR NOT complete") == [
        *((1, "unclean", 0, 0), (0, "", 0, 0), (1, "clean", 1, 7))
    ]


def test_a_daemon_that_finds_its_device_taken_waits_until_it_is_free(
    host: Host, folder: Path
) -> None:
    """A second daemon logs that it waits; when the first one stops, it reads and stores."""
    (folder / "other").mkdir()
    with Daemon(host, folder) as first:
        subscribed(first)
        with Daemon(host, folder / "other") as second:
            until(lambda: "waiting until it is free" in second.said(), "the second one waits")
            assert first.stop() == 0
            until(lambda: "reading /" in second.said(), "the second one reads")
            host.tell("burst 7")
            drained(host)
            assert second.stop() == 0

    assert stored(second.store) == 7


def test_a_daemon_that_waits_for_its_device_can_be_stopped(host: Host, folder: Path) -> None:
    """While another daemon has the device, SIGTERM ends a waiting one with exit code 0."""
    (folder / "other").mkdir()
    with Daemon(host, folder) as first:
        subscribed(first)
        with Daemon(host, folder / "other") as second:
            until(lambda: "waiting until it is free" in second.said(), "the second one waits")

            assert second.stop() == 0


def test_a_clock_that_is_set_is_reported_in_the_log_and_in_the_stats(
    host: Host, folder: Path
) -> None:
    """A clock that jumps eight days ahead and back makes two notes, and no row is deleted."""
    with Daemon(host, folder) as daemon:
        subscribed(daemon)
        for ahead_s in (0, 8 * 86_400, 0):
            set_clock_ahead(host, ahead_s)
            host.tell("burst 10")
            drained(host)
            rows = number(daemon.store, "SELECT count(*) FROM kosquery_stats")
            until(
                lambda rows=rows: (
                    number(daemon.store, "SELECT count(*) FROM kosquery_stats")  # type: ignore[misc]
                    > rows + 1
                ),
                "an interval ends",
            )
        assert daemon.stop() == 0

    assert stored(daemon.store) == 30
    notes = "SELECT note FROM kosquery_stats WHERE note != '' ORDER BY global_seq_num"
    assert ask(daemon.store, notes) == [
        ("the clock was set by +691200 s",),
        ("the clock was set by -691200 s",),
    ]
