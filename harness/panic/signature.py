# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One short word for one crash, so that its repetitions on other runs are recognised.

It is made from what does not change between runs, kernels and architectures: the kind of fault,
the guilty function, its module, and the operation in which it ran. That operation is called
through a pointer (an ioctl, a work, a packet's handler), so no compiler makes it part of another
function, as it does with what stands between. Addresses, offsets, line numbers, tasks and CPUs are
left out, and so are the compiler's suffixes and the names of an architecture's entry.
"""

import hashlib
import re
from collections.abc import Sequence

from harness.panic import guilty, hangs
from harness.panic.values import Frame, KernelReport

_DIGITS = 12
# One bad pointer is another of these on each architecture, and with each address.
_BAD_ACCESS = frozenset(
    {
        "page-fault",
        "general-protection",
        "stack-segment",
        "unhandled-fault",
        "internal-error",
        "oops",
    }
)
# A system call's function has its architecture in its name.
_CALL = re.compile(
    r"^_*(?:(?:x64|ia32|arm64|s390x?|riscv|mips|powerpc|se|do)_)*(?:compat_)?(?:k?sys|SyS|SYSC)_"
)
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


def signature(report: KernelReport) -> str:
    """Return 12 hex digits that are the same for the same crash on another run."""
    kind = "bad-access" if report.kind in _BAD_ACCESS else report.kind
    what = _name(report.function) or _NUMBER.sub("N", report.title)
    text = "\0".join([kind, what, report.module, *_way(report)])
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:_DIGITS]


def _name(function: str) -> str:
    """Return a function's name as every kernel and architecture has it."""
    return _CALL.sub("sys_", guilty.bare(function))


def _way(report: KernelReport) -> list[str]:
    """Return the operation in which the guilty function ran, when it is another function.

    A CPU that does not come back is named by its operation, where it is not in a module. Then the
    function that the operation called tells two hangs of one dispatcher apart.
    """
    own = next((stack.frames for stack in report.stacks if not stack.name), ())
    frames = [frame for frame in own if frame.reliable and not frame.inline]
    if hangs.spins(report.kind):
        return _called(report, hangs.interrupted(frames)) if not report.module else []
    names = [frame.function for frame in frames]
    guilty_at = next(
        (at for at, name in enumerate(names) if guilty.bare(name) == report.function), 0
    )
    operation = ""
    for name in names[guilty_at:]:
        if hangs.dispatches(name) or _CALL.match(name):
            break
        operation = operation if guilty.serves(name) else name
    way = _name(operation)
    return [way] if way and way != _name(report.function) else []


def _called(report: KernelReport, frames: Sequence[Frame]) -> list[str]:
    """Return what the guilty operation had called when the CPU was looked at."""
    called = ""
    for frame in frames:
        if guilty.bare(frame.function) == report.function:
            return [_name(called)] if called else []
        called = called if guilty.serves(frame.function) else frame.function
    return []
