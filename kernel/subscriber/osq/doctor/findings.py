# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a check of `osq doctor` has found."""

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How much a finding matters: only MISSING makes the exit code 1."""

    OK = "ok"
    NOTE = "note"
    MISSING = "MISSING"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of `osq doctor`: what it is about, how much it matters, and what was found.

    advice: what to do next; only a finding of the level OK has none.
    """

    level: Level
    subject: str
    message: str
    advice: str = ""


def ok(subject: str, message: str) -> Finding:
    """Return a finding of the level OK: the subject is as it should be."""
    return Finding(level=Level.OK, subject=subject, message=message)


def note(subject: str, message: str, advice: str) -> Finding:
    """Return a finding of the level NOTE: the user should know of it, and nothing is missing."""
    return Finding(level=Level.NOTE, subject=subject, message=message, advice=advice)


def missing(subject: str, message: str, advice: str) -> Finding:
    """Return a finding of the level MISSING: events are not recorded, or may be lost."""
    return Finding(level=Level.MISSING, subject=subject, message=message, advice=advice)
