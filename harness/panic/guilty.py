# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which function of a stack to name: the first that is not there to serve others.

A report is seldom about the function that it was found in. memcpy, a list's check, a lock, the
allocator, the sanitizer and the trap's entry are where bugs show, not where they are made; below
them stands the function that called them wrongly. functions.txt lists the names, by group, each
group with its reason.
"""

import re
from collections.abc import Iterable

from harness.panic.tables.function_lists import FunctionList, functions
from harness.panic.values import Frame

_COMPILERS = re.compile(r"\.(?:part|isra|constprop|cold|llvm|lto_priv)[.\w]*$")


def serves(function: str) -> bool:
    """Return whether a function only serves others: it is named only when nothing else is there."""
    return functions("serving").holds(stem(function))


def stem(function: str) -> str:
    """Return a function's bare name without the underscores that mark an inner variant of it."""
    return bare(function).lstrip("_")


def bare(function: str) -> str:
    """Return a function's name without what the compiler hung on it."""
    return _COMPILERS.sub("", function)


def choose(frames: Iterable[Frame], *, passed: FunctionList | None = None) -> Frame | None:
    """Return the frame to name: the first reliable one that serves nobody and is not `passed`."""
    for frame in frames:
        if not frame.reliable or serves(frame.function):
            continue
        if passed is not None and passed.holds(stem(frame.function)):
            continue
        return frame
    return None


def choose_leaker(frames: Iterable[Frame]) -> Frame | None:
    """Return who asked for memory that nobody gave back: whatever allocates is passed over."""
    return choose(frames, passed=functions("allocates"))
