# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a target asks for before a module loads, and what it keeps of a crash, as values."""

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """Whether a requirement holds."""

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
    """One thing that a target must allow; `cure` is how, by `who`."""

    what: str
    state: State
    who: Who = Who.RUNNING
    cure: str = ""


@dataclass(frozen=True, kw_only=True)
class CrashLog:
    """The text that a system kept of its own death, and the name under which it did."""

    name: str
    text: str


def lines(found: Requirement) -> tuple[str, ...]:
    """Return a requirement as text: what holds takes one line, the rest says its cure."""
    head = f"{found.state.value:8} {found.what}"
    if found.state is State.MET or not found.cure:
        return (head,)
    return (head, f"         -> {found.cure} (by {found.who.value})")


def met(found: tuple[Requirement, ...]) -> bool:
    """Return whether nothing is known to be missing."""
    return all(one.state is not State.UNMET for one in found)
