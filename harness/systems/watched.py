# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a suite of tests needs to know about its guest, whoever booted it.

`Session` provides it for a guest of the harness, `RemoteSession` for a target that the user boots.
"""

from pathlib import Path
from typing import Protocol

from harness.model.limits import Timeouts
from harness.systems.ssh import Guest


class Asked(Protocol):
    """What a suite needs to know about the request behind its guest."""

    @property
    def folder(self) -> Path:
        """The folder of the run."""

    @property
    def timeouts(self) -> Timeouts:
        """The deadlines of this run."""


class Alive(Protocol):
    """Knows whether the guest is alive."""

    @property
    def held(self) -> bool:
        """Whether a debugger holds the guest."""

    def check_unspoilt(self, running: str) -> None:
        """Raise when the kernel has reported a fault."""

    def note(self, name: str, words: str) -> None:
        """Keep an observation with its time."""


class Tail(Protocol):
    """Has the last console lines of the guest."""

    def tail(self, count: int) -> tuple[str, ...]:
        """Return the last lines."""


class Watched(Protocol):
    """A guest, as a suite of tests sees it; `Session` is one."""

    @property
    def request(self) -> Asked:
        """The request behind this guest."""

    @property
    def guest(self) -> Guest:
        """The connection."""

    @property
    def health(self) -> Alive:
        """Knows whether the guest is alive."""

    @property
    def console(self) -> Tail:
        """The end of the console."""

    def deadline(self, seconds: float) -> float:
        """Return a deadline of the configuration, stretched for this guest."""

    def check_alive(self) -> None:
        """Raise when the guest is dead."""
