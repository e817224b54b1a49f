# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a target must allow before a module loads, and the target's crash log, as values."""

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """Whether a requirement is met."""

    MET = "ok"
    UNMET = "MISSING"
    UNKNOWN = "note"


class Who(Enum):
    """Who can meet a requirement."""

    RUNNING = "a running system"
    RECOVERY = "a person in Recovery or the firmware's setup"
    SETTINGS = "a person at the target's screen"
    NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One setting that a target needs. `cure` says how to change it, and `who` can do that."""

    what: str
    state: State
    who: Who = Who.RUNNING
    cure: str = ""


@dataclass(frozen=True, kw_only=True)
class CrashLog:
    """The text that a system saved about its own crash, and the name of the log."""

    name: str
    text: str


def lines(requirement: Requirement) -> tuple[str, ...]:
    """Return a requirement as one line, and its cure as a second line when it is not met."""
    head = f"{requirement.state.value:8} {requirement.what}"
    if requirement.state is State.MET or not requirement.cure:
        return (head,)
    return (head, f"         -> {requirement.cure} (by {requirement.who.value})")


def met(requirements: tuple[Requirement, ...]) -> bool:
    """Return whether all requirements are met or unknown, so that none is known to fail."""
    return all(one.state is not State.UNMET for one in requirements)
