# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Compute a short identifier of a crash, by which its repetitions in other runs are recognized.

It is a hash of facts that are equal on all runs, kernels and architectures: the kind of fault, the
guilty function, its module, and the operation in which it ran. An operation (an ioctl, a work
item, a packet's handler) is called through a pointer, so no compiler inlines it. The functions
between the operation and the guilty function may be inlined, so they are left out. Addresses,
offsets, line numbers, tasks, CPUs, compiler suffixes and an architecture's entry functions are
left out, too.
"""

import hashlib
import re
from collections.abc import Sequence

from harness.panic import guilty, hangs
from harness.panic.values import Frame, KernelReport

_DIGITS = 12
# A fault through a bad pointer has one of these kinds, depending on architecture and address.
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
# The names of system call functions include the architecture.
_CALL = re.compile(
    r"^_*(?:(?:x64|ia32|arm64|s390x?|riscv|mips|powerpc|se|do)_)*(?:compat_)?(?:k?sys|SyS|SYSC)_"
)
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


def signature(report: KernelReport) -> str:
    """Return a report's signature: 12 hex digits that are equal for the same crash in any run."""
    kind = "bad-access" if report.kind in _BAD_ACCESS else report.kind
    what = _name(report.function) or _NUMBER.sub("N", report.title)
    text = "\0".join([kind, what, report.module, *_way(report)])
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:_DIGITS]


def _name(function: str) -> str:
    """Return a function's name without the parts that depend on compiler and architecture."""
    return _CALL.sub("sys_", guilty.bare(function))


def _way(report: KernelReport) -> list[str]:
    """Return the name of the operation in which the guilty function ran, as a list of at most one.

    An operation is the outermost function below a dispatcher, such as a module's ioctl handler.
    The list is empty if the guilty function is the operation itself. If a CPU spins, the list is
    empty for a module's function; for another one it has the function that the guilty one called,
    which distinguishes two hangs below one dispatcher.
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
    """Return what the guilty function had called when a watchdog sampled the CPU, or [].

    `frames` are those of the interrupted code, innermost first.
    """
    called = ""
    for frame in frames:
        if guilty.bare(frame.function) == report.function:
            return [_name(called)] if called else []
        called = called if guilty.serves(frame.function) else frame.function
    return []
