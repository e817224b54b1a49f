# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Settings of a Mac or another target that a module needs before it loads, and crash logs."""

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """The state of a requirement of a target: met, unmet, or UNKNOWN when it cannot be read."""

    MET = "ok"
    UNMET = "MISSING"
    UNKNOWN = "note"


class Who(Enum):
    """Who can change a target's setting so that a requirement is met.

    It is a running system, a person in Recovery or the firmware's setup, a person at the target's
    screen, or nobody.
    """

    RUNNING = "a running system"
    RECOVERY = "a person in Recovery or the firmware's setup"
    SETTINGS = "a person at the target's screen"
    NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One setting of a target without which a module does not load, such as macOS's boot policy.

    `what` names it, `cure` says how to change it, and `who` can do that.
    """

    what: str
    state: State
    who: Who = Who.RUNNING
    cure: str = ""


@dataclass(frozen=True, kw_only=True)
class CrashLog:
    """A file in which a target's operating system saved the text of its own crash."""

    name: str
    text: str


def lines(requirement: Requirement) -> tuple[str, ...]:
    """Return a requirement as one line, with a second line for its cure unless it is met."""
    head = f"{requirement.state.value:8} {requirement.what}"
    if requirement.state is State.MET or not requirement.cure:
        return (head,)
    return (head, f"         -> {requirement.cure} (by {requirement.who.value})")


def met(requirements: tuple[Requirement, ...]) -> bool:
    """Return whether no requirement is known to be unmet; an unknown state counts as met."""
    return all(one.state is not State.UNMET for one in requirements)
