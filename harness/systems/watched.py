# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a suite of tests has to know of the guest that it runs in, whoever booted it.

`Session` is that of a guest of ours, `RemoteSession` that of a target which the user boots.
"""

from pathlib import Path
from typing import Protocol

from harness.model.limits import Timeouts
from harness.systems.ssh import Guest


class Asked(Protocol):
    """What a suite has to know of the guest that it runs in."""

    @property
    def folder(self) -> Path:
        """Where the run's files lie."""

    @property
    def timeouts(self) -> Timeouts:
        """The limits of this run."""


class Alive(Protocol):
    """Who knows whether the guest lives."""

    @property
    def held(self) -> bool:
        """Whether a debugger holds the guest."""

    def check_unspoilt(self, running: str) -> None:
        """Raise when the kernel has complained."""

    def note(self, name: str, words: str) -> None:
        """Take down what was seen."""


class Tail(Protocol):
    """Whoever has the guest's last words."""

    def tail(self, count: int) -> tuple[str, ...]:
        """Return the last lines."""


class Watched(Protocol):
    """A guest, as far as a suite of tests is concerned; `Session` is one."""

    @property
    def request(self) -> Asked:
        """What was asked for."""

    @property
    def guest(self) -> Guest:
        """The connection."""

    @property
    def health(self) -> Alive:
        """Who knows whether the guest lives."""

    @property
    def console(self) -> Tail:
        """The last words."""

    def deadline(self, seconds: float) -> float:
        """Return a limit, stretched as this guest needs it."""

    def check_alive(self) -> None:
        """Raise when the guest is dead."""
