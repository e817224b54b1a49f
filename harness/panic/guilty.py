# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Choose the function of a stack that a kernel report blames.

A fault seldom appears in the function that caused it. memcpy, a check of a list, a lock, the
allocator, the sanitizer and the trap's entry detect faults of their callers. The guilty function
is the innermost one that is not such a service function. functions.txt lists the service functions
in groups, each with its reason.
"""

import re
from collections.abc import Iterable

from harness.panic.tables.function_lists import FunctionList, functions
from harness.panic.values import Frame

_COMPILERS = re.compile(r"\.(?:part|isra|constprop|cold|llvm|lto_priv)[.\w]*$")


def serves(function: str) -> bool:
    """Return whether functions.txt lists a function as a service to its callers, such as memcpy.

    A fault in such a function is its caller's.
    """
    return functions("serving").holds(stem(function))


def stem(function: str) -> str:
    """Return a function's name without compiler suffixes and leading underscores."""
    return bare(function).lstrip("_")


def bare(function: str) -> str:
    """Return a function's name without what the compiler adds: '.part.0', ppc64's first dot."""
    return _COMPILERS.sub("", function).lstrip(".")


def choose(frames: Iterable[Frame], *, passed: FunctionList | None = None) -> Frame | None:
    """Return the innermost frame whose function can be to blame for a fault, or None.

    The frame is reliable and not inlined, and its function is no service function such as memcpy,
    and not in `passed`.
    """
    for frame in frames:
        if not frame.reliable or frame.inline or serves(frame.function):
            continue
        if passed is not None and passed.holds(stem(frame.function)):
            continue
        return frame
    return None


def choose_leaker(frames: Iterable[Frame]) -> Frame | None:
    """Return the frame of the function that requested leaked memory, or None.

    It is the innermost one that `choose` can blame and that is no allocator.
    """
    return choose(frames, passed=functions("allocates"))
