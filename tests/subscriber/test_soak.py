# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The soak test: 5,000 events a second, and kills, full disks and wrong clocks in between."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.subscriber.host import Host, counts, number
from tests.subscriber.soak import Soak, judge


def test_every_event_under_load_is_stored_or_reported_missing_whatever_goes_wrong(
    host: Host,
    folder: Path,
    long_run: bool,  # noqa: FBT001
) -> None:
    """Through kills, full disks and wrong clocks, kosquery_stats has each loss as not complete.

    The daemon is killed, finds its device taken and its ring invalid, meets a full disk and a
    clock that is eight days ahead, stands still, and deletes its oldest rows.
    """
    soak = Soak(host, folder, random.Random(4711))  # noqa: S311
    try:
        evidence = soak.run(40 if long_run else 1)
    finally:
        soak.close()
    print(len(evidence.made), len(evidence.seen), evidence.losses)  # noqa: T201 - a long run's result

    judge(evidence)
    store = evidence.store
    assert number(store, "SELECT count(*) FROM kosquery_stats WHERE complete") > 0
    assert number(store, "SELECT sum(expired) FROM kosquery_stats") > 0
    # The judge refuses a store that lacks an event without a report.
    complete = "SELECT begin_ntime, ntime FROM kosquery_stats WHERE complete AND stored > 1000"
    ((begin, end),) = counts(store, f"{complete} ORDER BY ntime - begin_ntime DESC LIMIT 1")
    middle = (begin + end) // 2
    one = min(evidence.made, key=lambda one: abs(evidence.made[one] - middle))
    seen = evidence.seen.copy()
    del seen[one]
    with pytest.raises(AssertionError):
        judge(replace(evidence, seen=seen, losses=evidence.losses + 1))
