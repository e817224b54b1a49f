# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of pytest_plugin: what it announces to the run that started it."""

import os
from typing import Any, cast

import pytest

from harness import pytest_plugin
from harness.errors import GuestLost
from harness.pytest_ktap import KtapPrinter


class DeadPlatform:
    """A system whose guest takes no more marks."""

    def mark(self, _guest: object, text: str) -> None:
        """Raise the error of a connection that is closed."""
        raise GuestLost(f"the SSH connection is closed:\n{text}")


def test_a_guest_lost_at_the_end_of_a_test_is_reported_before_pytest_exits() -> None:
    """If a test's end cannot be marked over a dead connection, one line tells the run."""
    reader, writer = os.pipe()
    state = pytest_plugin._State(platform=cast("Any", DeadPlatform()))
    state.ktap = KtapPrinter(cast("Any", None), writer)

    with pytest.raises(pytest.exit.Exception, match="lost during t::one"):
        pytest_plugin._mark_end(state, cast("Any", None), "t::one")

    wanted = "the SSH connection is closed: harness-test-end t::one"
    assert os.read(reader, 4096).decode() == f"# harness: unreachable {wanted}\n"
    os.close(reader)
