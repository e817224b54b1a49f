# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The interface through which a suite of tests observes its guest, whoever booted the guest.

`Session` implements it for a guest of the harness, `RemoteSession` for a target that the user
boots.
"""

from pathlib import Path
from typing import Protocol

from harness.model.limits import Timeouts
from harness.systems.ssh import Guest


class Asked(Protocol):
    """What a suite has to know of the run that it belongs to."""

    @property
    def folder(self) -> Path:
        """The folder of the run's files."""

    @property
    def timeouts(self) -> Timeouts:
        """The deadlines of this run."""


class Alive(Protocol):
    """The interface of an object that reports whether the guest is alive."""

    @property
    def held(self) -> bool:
        """Whether a debugger has stopped the guest."""

    def check_unspoilt(self, running: str) -> None:
        """Raise KernelComplained when the kernel has reported a fault during a finished test.

        `running` is the test whose result is still to come; its own faults are no reason. The
        caller replaces the guest, so that this test does not suffer from the fault. A target
        without a console raises nothing.
        """

    def note(self, name: str, words: str) -> None:
        """Record an observation about the guest with its time; `name` is what has observed it."""


class Tail(Protocol):
    """The interface to the last lines of the guest's console."""

    def tail(self, count: int) -> tuple[str, ...]:
        """Return the last lines of the console."""


class Watched(Protocol):
    """What a running suite of tests needs of its guest: the SSH connection, console and health.

    The code that runs the suite calls `check_alive` for as long as the suite runs, and so learns
    that the guest has died. `Session` implements this for a guest that the harness boots,
    `RemoteSession` for a target that the user boots.
    """

    @property
    def request(self) -> Asked:
        """The request of the run for which this guest was started."""

    @property
    def guest(self) -> Guest:
        """The SSH connection to the guest."""

    @property
    def health(self) -> Alive:
        """The object that reports whether the guest is alive."""

    @property
    def console(self) -> Tail:
        """The last lines of the guest's console."""

    def deadline(self, seconds: float) -> float:
        """Return a configured deadline in seconds, multiplied if this guest is slow."""

    def check_alive(self) -> None:
        """Raise an error when the guest is dead."""
