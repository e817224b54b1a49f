# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How a report of the kernel begins: one row of the tables in `fault_headers` and `check_headers`.

`kind` is the field's word. `stem` is how the title begins, with the pattern's groups in it; what
follows is ' in ' and the guilty function. A fatal report is one that the kernel does not survive.
`unless` names what looks like a report and is none. An inner header is a later line of a report: it
begins one only where the console lost the first.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Header:
    """One way in which a report begins."""

    kind: str
    pattern: re.Pattern[str]
    stem: str
    fatal: bool = False
    unless: re.Pattern[str] | None = None
    blames: bool = True
    needs_stack: bool = False
    inner: bool = False

    @property
    def asks_all(self) -> bool:
        """Whether the kernel asks other CPUs for their stacks, which then belong to the report."""
        return self.kind in _STUCK


_STUCK = {"soft-lockup", "hard-lockup", "rcu-stall", "workqueue-lockup", "hung-task"}


def header(  # noqa: PLR0913
    kind: str,
    pattern: str,
    stem: str = "",
    *,
    fatal: bool = False,
    unless: str = "",
    blames: bool = True,
    needs_stack: bool = False,
    inner: bool = False,
) -> Header:
    """Return a row, its patterns compiled; without a stem the title is the line itself."""
    return Header(
        kind=kind,
        pattern=re.compile(pattern),
        stem=stem or "{0}",
        fatal=fatal,
        unless=re.compile(unless) if unless else None,
        blames=blames,
        needs_stack=needs_stack,
        inner=inner,
    )
