# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Choose the function that names a hang: the one that waits, or the operation that does not end.

A task that sleeps for ever is named by the function that began the wait. A CPU that spins is
sampled anywhere in its loop, so two reports of one hang have only the operation in common. The
operation is the function that a dispatcher called through a pointer or table; dispatchers call
system calls, file operations, packet handlers, timers or work items. If a function of a module is
in the stack, it is named instead, because it leads a module's developer to the place of the fault.
"""

from collections.abc import Sequence

from harness.panic import guilty
from harness.panic.tables.function_lists import functions
from harness.panic.values import Frame

_SLEEPS = frozenset({"hung-task"})
_SPINS = frozenset({"soft-lockup", "hard-lockup", "rcu-stall"})


def _is(section: str, function: str) -> bool:
    """Return whether functions.txt lists a function in this section."""
    return functions(section).holds(guilty.stem(function))


def sleeps(kind: str) -> bool:
    """Return whether reports of this kind, such as 'hung-task', are about a waiting task."""
    return kind in _SLEEPS


def spins(kind: str) -> bool:
    """Return whether reports of this kind, such as 'soft-lockup', are about a spinning CPU."""
    return kind in _SPINS


def dispatches(function: str) -> bool:
    """Return whether a function calls operations through a pointer, as vfs_ioctl() does."""
    return _is("dispatchers", function)


def sleeper(frames: Sequence[Frame]) -> Frame | None:
    """Return the frame of the function that began a hung task's wait, or None.

    It is the innermost frame that is no waiting function, such as schedule(), and no service
    function. A function that waits for every CPU, such as synchronize_rcu(), is named itself.
    """
    sure = [frame for frame in frames if frame.reliable]
    for frame in sure:
        if _is("waits for all", frame.function):
            return frame
        if not (_is("waits", frame.function) or guilty.serves(frame.function)):
            return frame
    return None


def spinner(frames: Sequence[Frame]) -> Frame | None:
    """Return the frame of the operation in which a CPU spins, or None without a fitting frame.

    It is the first of these that the stack has: a function that waits for every CPU, such as
    synchronize_rcu(); the innermost function of a module; the function that a dispatcher called;
    the innermost one that is no waiting and no service function.
    """
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
    """Return the frames that a watchdog's interrupt interrupted, without the interrupt's own."""
    entered = 0
    for index, frame in enumerate(frames):
        name = frame.function
        if _is("interrupts", name):
            entered = index + 1
        elif entered or not (_is("ticking", name) or guilty.serves(name)):
            break
    return frames[entered:]


def _first_dispatcher(frames: Sequence[Frame]) -> int:
    """Return the index of the innermost frame that called an operation through a pointer.

    When there is none, return the number of frames.
    """
    for index, frame in enumerate(frames):
        if not dispatches(frame.function):
            continue
        if any(_operates(one.function) for one in frames[:index]):
            return index
    return len(frames)
