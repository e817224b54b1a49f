# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Define the rows of `fault_headers` and `check_headers`: how a kernel report begins.

`kind` is the established term. `stem` is the beginning of the title, which may contain the
pattern's groups; ' in ' and the guilty function follow. A kernel does not survive a fatal report.
`unless` excludes lines that only look like the header. An inner header is a later line of a
report; it begins a report only where the console lost the first line. A report has a guilty
function only if its header `blames`. If a header `needs_stack`, a report without a kernel's stack
is dropped.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Header:
    """One form of a kernel report's first line; the module's docstring explains the fields."""

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
        """Whether the kernel makes other CPUs print their stacks into a report of this kind."""
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
    """Return a row for the tables of headers, with compiled patterns.

    Without a `stem` the report's first line itself is the title.
    """
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
