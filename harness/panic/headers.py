# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The first lines of everything that a kernel reports against itself: a table, first match wins.

`kind` is the field's word. A fatal report is one that the kernel does not survive. `unless` names
what looks like a report and is none. Each text is the format string of the kernel's own source.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Header:
    """One way in which a report begins."""

    kind: str
    pattern: re.Pattern[str]
    fatal: bool = False
    unless: re.Pattern[str] | None = None


def _header(kind: str, pattern: str, *, fatal: bool = False, unless: str = "") -> Header:
    return Header(
        kind=kind,
        pattern=re.compile(pattern),
        fatal=fatal,
        unless=re.compile(unless) if unless else None,
    )


HEADERS = (
    _header("canary", r"^harness-canary \S+: "),
    _header("panic", r"^Kernel panic - not syncing", fatal=True),
    _header(
        "double-fault", r"^(PANIC: )?double fault[:,]|^traps: PANIC: double fault", fatal=True
    ),
    _header("kasan", r"^BUG: KASAN: "),
    _header("kmsan", r"^BUG: KMSAN: "),
    _header("kfence", r"^BUG: KFENCE: "),
    _header("kcsan", r"^BUG: KCSAN: "),
    _header("ubsan", r"^UBSAN: "),
    _header("null-deref", r"^BUG: kernel NULL pointer dereference"),
    _header("null-deref", r"^BUG: unable to handle kernel NULL pointer dereference"),
    _header("page-fault", r"^BUG: unable to handle (page fault|kernel paging request)"),
    _header("page-fault", r"^Unable to handle kernel "),
    _header("atomic-sleep", r"^BUG: (sleeping function called|scheduling while atomic)"),
    _header("soft-lockup", r"^watchdog: BUG: soft lockup|^BUG: soft lockup"),
    _header("hard-lockup", r"^(NMI watchdog: )?Watchdog detected hard LOCKUP"),
    _header("workqueue-lockup", r"^BUG: workqueue lockup"),
    _header("slab", r"^BUG \S+ ?(\(.*\))?: "),
    _header("stack-overflow", r"^BUG: (TASK|IRQ|.* stack) stack guard page was hit"),
    _header("stack-overflow", r"^BUG: stack guard page was hit"),
    _header("bad-page", r"^BUG: Bad (page|rss-counter)"),
    _header("kernel-bug", r"^kernel BUG at ", fatal=False),
    _header("bug", r"^BUG: "),
    _header("lockdep", r"^WARNING: (possible |inconsistent |bad unlock|suspicious |held lock)"),
    _header("lockdep", r"^WARNING: lock held|^WARNING: \S+/\d+ still has locks held"),
    _header(
        "warning", r"^WARNING: (CPU: |at )?\S", unless=r"^WARNING: (Spectre|MDS CPU|The mand)"
    ),
    _header("hung-task", r"^INFO: task \S+ blocked( (for more than|in I/O wait)|.*for more)"),
    _header("rcu-stall", r"^(rcu: )?INFO: \S+ (self-)?detected.* stall"),
    _header("rcu-stall", r"^rcu: (INFO: )?.*detected.*stalls? on"),
    _header("lockdep", r"^INFO: (possible |inconsistent |trying to register)"),
    _header("general-protection", r"^general protection fault", unless=r" error:[0-9a-f]+ in \S"),
    _header("general-protection", r"^stack segment: "),
    _header("divide", r"^divide error: "),
    _header("invalid-opcode", r"^invalid opcode: "),
    _header("int3", r"^int3: "),
    _header("oops", r"^Oops: |^Internal error: "),
    _header("list-corruption", r"^list_(add|del) corruption"),
    _header("refcount", r"^refcount_t: "),
    _header("kmemleak", r"^kmemleak: \d+ new suspected memory leaks"),
    _header("kmemleak", r"^unreferenced object 0x"),
    _header("oom", r"^Out of memory: Killed process|^Memory cgroup out of memory: Killed"),
    _header("machine-check", r"^mce: \[Hardware Error\]: .*Machine Check", fatal=False),
    _header("unregister", r"^unregister_netdevice: waiting for "),
)

# Cheap: every header holds one of these, and nearly no other line does.
HINT = re.compile(
    r"BUG|WARNING|INFO: |panic|[Ff]ault|UBSAN|Unable to|LOCKUP|rcu: |stack segment|divide|"
    r"invalid opcode|int3|Oops|Internal error|corruption|refcount_t|kmemleak|unreferenced|"
    r"Out of memory|out of memory|Hardware Error|unregister_netdevice|harness-canary"
)


def match(text: str) -> Header | None:
    """Return the header that a kernel line's text is, or None."""
    if HINT.search(text) is None:
        return None
    for header in HEADERS:
        if header.pattern.search(text):
            return None if header.unless is not None and header.unless.search(text) else header
    return None
