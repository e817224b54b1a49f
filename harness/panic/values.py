# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the text of a kernel's report comes to, as values: frames, stacks, the report itself.

Only data. `scan` cuts reports out of a console, `explain` fills in what their text says, `symbols`
adds files and lines.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One function of a stack.

    `offset` and `size` are bytes, 0 where unknown; `module` is "" for the kernel itself; `place`
    is file:line, "" where unknown. An unreliable frame ('?') may be a left-over of an older call.
    An inline frame has no address of its own: it is part of the next frame outwards.
    """

    function: str
    offset: int = 0
    size: int = 0
    module: str = ""
    place: str = ""
    reliable: bool = True
    inline: bool = False


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Frames, innermost first, and the line that introduced them ("" for the report's own)."""

    name: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True, kw_only=True)
class KernelReport:
    """One thing that the kernel said and that a good kernel does not say.

    `kind` is the field's word ('kasan', 'hung-task'), `title` the line to search for. `line`
    counts console lines from 0; `text` is the whole report, its first line first, and `before`
    the kernel lines that came just before it. `test` is the test that was running, or "" between
    tests; `fatal` means that the kernel stopped. `follows` is the `line` of the report of which
    this one is a consequence, None for a finding of its own. `at` is when the kernel said it, in
    seconds of its own clock, and `boot` counts how often that had begun anew in the log. `facts`
    holds what the text says of the kernel itself: its release, how far it was moved (KASLR). Empty
    values were not in the text.
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
        """The frames of every stack, in the order of the text."""
        return tuple(frame for stack in self.stacks for frame in stack.frames)
