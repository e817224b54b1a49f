# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The values of a parsed kernel report: frames, stacks and the report itself.

This module holds data only. `scan` cuts reports out of a console, `explain` fills in the values
from their text, and `symbols` adds files and lines.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One function of a stack in a kernel report.

    `offset` and `size` are bytes, 0 where unknown; `module` is "" for the kernel itself; `place`
    is file:line, "" where unknown. An unreliable frame ('?') may be left over from an older call.
    An inline frame has no address of its own: it is part of the next frame outwards. An inferred
    frame is not in the report: a tail call hid it, and the call before it in the code names it.
    """

    function: str
    offset: int = 0
    size: int = 0
    module: str = ""
    place: str = ""
    reliable: bool = True
    inline: bool = False
    inferred: bool = False


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack in a kernel report, innermost frame first.

    `name` is the line above it in the report, "" for the report's own stack.
    """

    name: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True, kw_only=True)
class KernelReport:
    """What a kernel printed about one fault, such as an oops, a panic or a KASAN report.

    `kind` is the established term ('kasan', 'hung-task'), `title` the text to search for. `line`
    counts console lines from 0. `text` is the whole report, its header first, and `before` the
    kernel lines just before it. `test` is the test that was running, or "" between tests; `fatal`
    means that the kernel stopped. `follows` is the `line` of the report of which this one is a
    consequence, None if there is none. `at` is the time of the report, in seconds of the kernel's
    own clock, and `boot` the number of restarts of that clock in the log before it. `facts` holds
    by name what the text says about the kernel, such as its release and its KASLR offset, how
    often a report was repeated, and how a function was inferred. Values that are not in the text
    are empty.
    """

    kind: str
    title: str
    line: int
    text: tuple[str, ...]
    fatal: bool = False
    test: str = ""
    function: str = ""
    module: str = ""
    place: str = ""
    task: str = ""
    pid: int | None = None
    cpu: int | None = None
    taint: str = ""
    registers: dict[str, str] = field(default_factory=dict)
    stacks: tuple[Stack, ...] = ()
    before: tuple[str, ...] = ()
    follows: int | None = None
    at: float | None = None
    boot: int = 0
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames of all stacks in the report; those of the report's own stack come first."""
        return tuple(frame for stack in self.stacks for frame in stack.frames)
