# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find a kernel report's task, CPU and taint in its text, and the kernel's release and offset.

A report about a certain task names it in its own words, and these come first. The 'CPU:' line of
dump_stack() names the task that printed the report, which for a hung task is the watchdog.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Who:
    """The CPU, task, process id and taint letters of a kernel report; '' or None if not given."""

    cpu: int | None = None
    pid: int | None = None
    task: str = ""
    taint: str = ""


# lib/dump_stack.c: dump_stack_print_info(); UID since 6.12. Red Hat's kernels also print kdump's
# state, and a line of dashes between taint and release.
_TAINT = (
    r"(?:Kdump: loaded )?(?:Not tainted|Tainted: (?P<taint>[A-Z][A-Z ]*?))[ -]+(?P<release>\d\S*)"
)
_CPU = re.compile(
    r"\bCPU: (?P<cpu>\d+) (?:UID: \d+ )?PID: (?P<pid>-?\d+) Comm: (?P<task>.+?) " + _TAINT
)
_OLD_CPU = re.compile(r"\b[Pp]id: (?P<pid>\d+), comm: (?P<task>.+?) " + _TAINT)
_PROCESS = re.compile(r"^\s*Process (?P<task>.+?) \(pid: (?P<pid>\d+)")
# Lines with which reports name their task, each from the format in the file that prints it.
_ABOUT = (
    re.compile(r"^INFO: task (?P<task>.+):(?P<pid>\d+) (?:is )?(?:blocked|can't die)"),
    re.compile(r"soft lockup - CPU#(?P<cpu>\d+) stuck for \d+s! \[(?P<task>.*):(?P<pid>\d+)\]"),
    re.compile(r"LOCKUP on cpu (?P<cpu>\d+)"),
    re.compile(r"[bB]y task (?P<task>.+)/(?P<pid>\d+)\s*$"),
    re.compile(r"by task (?P<pid>\d+) on cpu (?P<cpu>\d+)"),
    re.compile(r"by interrupt on cpu (?P<cpu>\d+)"),
    re.compile(r"^BUG: scheduling while atomic: (?P<task>.+)/(?P<pid>\d+)/0x"),
    re.compile(r"in_atomic\(\): .* pid: (?P<pid>\d+), name: (?P<task>.+)"),
    re.compile(r"in preemptible \[\d+\] code: (?P<task>.+)/(?P<pid>\d+)"),
    re.compile(
        r"^(?P<task>\S.*)/(?P<pid>\d+)(?: \[.*\])? (?:is trying to|is freeing memory|is leaving the kernel|took|just changed|is exiting)"
    ),
    re.compile(r"Killed process (?P<pid>\d+) \((?P<task>.+?)\)"),
    re.compile(r"^\s*comm \"(?P<task>.*)\", pid (?P<pid>\d+)"),
    re.compile(r"CPU#(?P<cpu>\d+): (?P<task>.+)/(?P<pid>\d+)$"),
    re.compile(r"^(?:rcu: )?\s+(?P<cpu>\d+)-[.?!O\d]{4}: "),
)
# Each of the patterns above contains one of these words.
_MAY_SAY = re.compile(
    r"task |soft lockup|LOCKUP|interrupt on|scheduling|in_atomic|preemptible|/\d+ |CPU#|Killed|comm |\d+-"
)
# A report names its task within this number of lines, so later lines are not searched.
_ABOUT_LINES = 12


def who(text: Sequence[str]) -> Who:
    """Return the task and CPU that a kernel report is about, and the kernel's taint.

    Task and CPU are taken from the report's own words, or else from its 'CPU:' line, which also
    has the taint.
    """
    found = Who()
    for line in text[:_ABOUT_LINES]:
        for about in _ABOUT if _MAY_SAY.search(line) is not None else ():
            match = about.search(line)
            if match is not None:
                found = _filled(found, match.groupdict())
    named = found.pid is not None or found.cpu is not None
    for word, pattern in (("CPU: ", _CPU), (", comm: ", _OLD_CPU), ("(pid: ", _PROCESS)):
        match = next(
            (hit for line in text if word in line and (hit := pattern.search(line))), None
        )
        if match is None:
            continue
        groups = match.groupdict()
        same = not named or str(found.pid) == groups["pid"] or groups.get("cpu") == str(found.cpu)
        found = _filled(found, groups if same else {"taint": groups.get("taint")})
        break
    return found


def _filled(found: Who, groups: dict[str, str | None]) -> Who:
    """Return `found` with its empty fields filled from the groups of a pattern's match."""
    cpu, pid = groups.get("cpu"), groups.get("pid")
    return replace(
        found,
        cpu=int(cpu) if cpu and found.cpu is None else found.cpu,
        pid=int(pid) if pid and found.pid is None else found.pid,
        task=found.task or groups.get("task") or "",
        taint=found.taint or "".join((groups.get("taint") or "").split()),
    )


# The format of dump_kernel_offset() in arch/*/kernel/setup.c.
_OFFSET = re.compile(r"^Kernel Offset: (0x[0-9a-f]+|disabled)")


def about_kernel(text: Sequence[str]) -> dict[str, str]:
    """Return what a report prints of the kernel: "kernel", its release, and "kernel-offset".

    The latter is the KASLR offset, or "disabled". What the report does not print is missing.
    """
    found: dict[str, str] = {}
    for line in text:
        release = _CPU.search(line) if "Comm: " in line else None
        release = release or (_OLD_CPU.search(line) if ", comm: " in line else None)
        if release is not None:
            found.setdefault("kernel", release["release"])
        offset = _OFFSET.match(line)
        if offset is not None:
            found.setdefault("kernel-offset", offset[1])
    return found
