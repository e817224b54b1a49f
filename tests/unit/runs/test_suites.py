# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of runs.suites: what a test announces about its guest ends the suite at once."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from harness.errors import GuestLost, HarnessError, TestOverdue
from harness.runs import suites
from tests.unit.runs.test_ledger import PLAN, PYTEST, ledger


@dataclass
class Guest:
    """A guest that is well, as a suite sees it; it records what is noted about it."""

    noted: list[str] = field(default_factory=list)
    held: bool = False

    @property
    def request(self) -> "Guest":
        """The guest itself stands for its request, its limits, its health and its console."""
        return self

    timeouts = health = console = request
    test_s = 60.0

    def deadline(self, seconds: float) -> float:
        """Return the time limit unchanged."""
        return seconds

    def check_alive(self) -> None:
        """The guest is alive."""

    def check_unspoilt(self, running: str) -> None:
        """The kernel has reported nothing."""

    def note(self, _name: str, words: str) -> None:
        """Record what the suite observed."""
        self.noted.append(words)

    def tail(self, count: int) -> tuple[str, ...]:
        """Return the last lines of the console."""
        return ("last line",)[:count]


LATE = "a command did not end within 40 s: cat x"


@pytest.mark.parametrize(
    ("line", "error"),
    [(f"# harness: overdue {LATE}", TestOverdue), ("# harness: unreachable gone", GuestLost)],
)
def test_an_overdue_command_or_a_lost_connection_ends_the_suite_at_once(
    line: str, error: type[HarnessError]
) -> None:
    """When pytest tells of either for a fake guest, the later result lines are not read."""
    guest = Guest()
    book = ledger(*PLAN, "# harness: start t::one")
    run = suites._Run(
        spec=PYTEST.spec,
        session=cast("Any", guest),
        ledger=book,
        log=Path("log"),
        end=time.monotonic() + 60.0,
    )

    with pytest.raises(error) as caught:
        suites._pump(run, iter([line, "not ok 1 t::one"]))

    assert caught.value.message.startswith((LATE, "gone"))
    assert caught.value.evidence == ("last line",)
    assert book.ended(caught.value).running == "t::one"
    assert [words == LATE for words in guest.noted] == [True] * (error is TestOverdue)
