# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Whom to name for a hang: the one who waits, or the operation that does not come to an end.

A task that sleeps for ever stands still: the function that went into the wait is named. A CPU
that does not come back is sampled at any place of a loop: two reports of one hang agree only on
the operation that was begun. It is found below a dispatcher, which calls through a pointer or a
table: the system call's, the file's, a packet's, a timer's, the work's. A module's own function
is named before that: whoever looks at a module wants to be led into it.
"""

from collections.abc import Sequence

from harness.panic import guilty
from harness.panic.tables.function_lists import functions
from harness.panic.values import Frame

_SLEEPS = frozenset({"hung-task"})
_SPINS = frozenset({"soft-lockup", "hard-lockup", "rcu-stall"})


def _is(section: str, function: str) -> bool:
    """Return whether a function is in one of the lists of functions.txt."""
    return functions(section).holds(guilty.stem(function))


def sleeps(kind: str) -> bool:
    """Return whether a kind of report is about a task that waits."""
    return kind in _SLEEPS


def spins(kind: str) -> bool:
    """Return whether a kind of report is about a CPU that does not come back."""
    return kind in _SPINS


def dispatches(function: str) -> bool:
    """Return whether a function calls others through a pointer or a table."""
    return _is("dispatchers", function)


def sleeper(frames: Sequence[Frame]) -> Frame | None:
    """Return who went into the wait that does not end."""
    sure = [frame for frame in frames if frame.reliable]
    for frame in sure:
        if _is("waits for all", frame.function):
            return frame
        if not (_is("waits", frame.function) or guilty.serves(frame.function)):
            return frame
    return None


def spinner(frames: Sequence[Frame]) -> Frame | None:
    """Return the operation in which a CPU has been for too long."""
    sure = interrupted([frame for frame in frames if frame.reliable])
    end = _first_dispatcher(sure)
    inside = sure[:end]
    for_all = next((one for one in inside if _is("waits for all", one.function)), None)
    if for_all is not None:
        return for_all
    own = guilty.choose([frame for frame in inside if frame.module])
    if own is not None:
        return own
    chosen = next((one for one in reversed(inside) if _operates(one.function)), None)
    return chosen or guilty.choose(sure, passed=functions("waits"))


def _operates(function: str) -> bool:
    between = _is("wrappers", function) or dispatches(function)
    return not (between or guilty.serves(function))


def interrupted(frames: Sequence[Frame]) -> Sequence[Frame]:
    """Return the stack from what the watchdog's interrupt interrupted."""
    entered = 0
    for index, frame in enumerate(frames):
        name = frame.function
        if _is("interrupts", name):
            entered = index + 1
        elif entered or not (_is("ticking", name) or guilty.serves(name)):
            break
    return frames[entered:]


def _first_dispatcher(frames: Sequence[Frame]) -> int:
    """Return the index of the innermost dispatcher that has an operation above it."""
    for index, frame in enumerate(frames):
        if not dispatches(frame.function):
            continue
        if any(_operates(one.function) for one in frames[:index]):
            return index
    return len(frames)
