# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the pauses between log lines about one lasting trouble."""

from itertools import pairwise

import pytest

from osq.repeats import Repeats


def test_trouble_of_a_day_is_logged_at_once_then_at_growing_intervals_up_to_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Repeats.is_due, called each second, is true after 0, 1, 3, 7 s and so on."""
    now = [0.0]
    monkeypatch.setattr("osq.repeats.time.monotonic", lambda: now[0])
    repeats = Repeats()
    logged = []

    for second in range(86_400):
        now[0] = float(second)
        if repeats.is_due():
            logged.append(second)

    assert logged[:13] == [2**n - 1 for n in range(13)]
    pauses = {after - before for before, after in pairwise(logged[12:])}
    assert pauses == {3600}
    assert repeats.count == 86_400
