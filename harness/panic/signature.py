# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One short word for one crash, so that its repetitions on other runs are recognised.

It is made from what does not change between runs: kind, guilty function, module, and the
innermost functions of the report's own stack that do not merely serve. Addresses, offsets, line
numbers, tasks and CPUs are left out, and so are the compiler's suffixes.
"""

import hashlib

from harness.panic.guilty import bare, serves
from harness.panic.hangs import spins
from harness.panic.values import KernelReport

# Enough to tell two callers of one function apart, few enough to survive another way to the same.
_FRAMES = 3
_DIGITS = 12


def signature(report: KernelReport) -> str:
    """Return 12 hex digits that are the same for the same crash on another run."""
    parts = [report.kind, bare(report.function) or report.title, report.module, *_path(report)]
    text = "\0".join(parts)
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:_DIGITS]


def _path(report: KernelReport) -> list[str]:
    """Return the guilty function's nearest callers; a CPU that spins is sampled anywhere, so none."""
    if spins(report.kind):
        return []
    own = next((stack.frames for stack in report.stacks if not stack.name), ())
    names = [bare(frame.function) for frame in own if frame.reliable and not frame.inline]
    if report.function in names:
        names = names[names.index(report.function) :]
    return [name for name in names if not serves(name)][:_FRAMES]
