# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The first lines of everything that a kernel reports against itself: a table, first match wins.

`kind` is the field's word. `stem` is how the title begins, with the pattern's groups in it; what
follows is ' in ' and the guilty function. A fatal report is one that the kernel does not survive.
`unless` names what looks like a report and is none. An inner header is a later line of a report: it
begins one only where the console lost the first. Each text is a format of the kernel's source.
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


def _header(  # noqa: PLR0913
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


_PANIC = r"^Kernel panic - not syncing: "

HEADERS = (
    _header("canary", r"^harness-canary \S+: ", blames=False),
    # --- panics that are findings of their own
    _header(
        "stack-corruption",
        _PANIC + r"stack-protector: .*corrupted in: (?P<in>\S+)",
        "kernel panic: stack is corrupted",
        fatal=True,
    ),
    _header(
        "stack-overflow",
        _PANIC + r"corrupted stack end detected",
        "kernel panic: corrupted stack end",
        fatal=True,
    ),
    _header(
        "stack-overflow",
        _PANIC + r"kernel stack overflow",
        "kernel panic: kernel stack overflow",
        fatal=True,
    ),
    _header(
        "panic", r"^Kernel panic - not syncing:? ?(?P<what>.*)", "kernel panic: {what}", fatal=True
    ),
    _header(
        "double-fault",
        r"^(?:traps: )?(?:PANIC: )?double fault[:,]",
        "PANIC: double fault",
        fatal=True,
    ),
    # --- sanitizers
    _header(
        "kasan",
        r"^BUG: KAS[Aa][Nn]: (?P<what>[\w -]+?)(?: on address \S+)? in (?P<in>\S+)",
        "KASAN: {what}",
    ),
    _header("kasan", r"^BUG: KAS[Aa][Nn]: (?P<what>[\w-]+)", "KASAN: {what}"),
    _header("kmsan", r"^BUG: KMSAN: (?P<what>[\w-]+)", "KMSAN: {what}"),
    _header(
        "kfence", r"^BUG: KFENCE: (?P<what>[\w -]+?)(?: in (?P<in>\S+).*)?$", "KFENCE: {what}"
    ),
    _header(
        "kcsan",
        r"^BUG: KCSAN: (?P<what>[\w :-]+?)(?: in (?P<in>[\w.]+))(?: / [\w.]+)?",
        "KCSAN: {what}",
    ),
    _header("ubsan", r"^UBSAN: (?P<what>[\w -]+?) in (?P<file>\S+)", "UBSAN: {what}"),
    _header("ubsan", r"^UBSAN: (?P<what>.*)", "UBSAN: {what}"),
    # CONFIG_UBSAN_TRAP on arm64
    _header("ubsan", r"^Internal error: UBSAN: (?P<what>[\w -]+): ", "UBSAN: {what}"),
    # --- faults
    _header(
        "null-deref",
        r"^BUG: (?:[kK]ernel|[uU]nable to handle kernel) NULL pointer dereference",
        "BUG: unable to handle kernel NULL pointer dereference",
    ),
    _header(
        "page-fault",
        r"^BUG: [uU]nable to handle (?:page fault|kernel paging request|kernel data access|kernel instruction fetch)",
        "BUG: unable to handle kernel paging request",
    ),
    _header(
        "page-fault",
        r"^BUG: [uU]nable to handle (?:kernel|unknown)",
        "BUG: unable to handle kernel",
    ),
    _header(
        "null-deref",
        r"^(?:CPU \d+ )?Unable to handle kernel NULL pointer dereference",
        "BUG: unable to handle kernel NULL pointer dereference",
    ),
    _header(
        "page-fault",
        r"^(?:CPU \d+ )?Unable to handle kernel ",
        "BUG: unable to handle kernel paging request",
    ),
    _header(
        "unhandled-fault", r"^Unhandled (?:fault|prefetch abort)(?:: | at )", "Unhandled fault"
    ),
    _header("alignment", r"^Alignment trap: ", "Alignment trap"),
    _header(
        "general-protection",
        r"^(?:Oops: |traps: )?general protection fault|general protection fault: [0-9a-f]{4} \[#\d",
        "general protection fault",
        unless=r" error:[0-9a-f]+ in \S| ip:[0-9a-f]+ sp:",
    ),
    _header("stack-segment", r"^(?:Oops: )?stack segment: ", "stack segment fault"),
    _header(
        "divide-error",
        r"^(?:Oops: )?(?:divide error|divide_error): ",
        "divide error",
        unless=r" ip:[0-9a-f]+ sp:",
    ),
    _header(
        "invalid-opcode",
        r"^(?:Oops: )?invalid opcode: ",
        "invalid opcode",
        unless=r" ip:[0-9a-f]+ sp:",
    ),
    _header("int3", r"^(?:Oops: )?int3: ", "int3"),
    _header(
        "stack-overflow",
        r"^BUG: (?:\S+ )?stack guard page was hit",
        "BUG: stack guard page was hit",
        fatal=True,
    ),
    _header(
        "stack-overflow",
        r"^Insufficient stack space to handle exception",
        "kernel stack overflow",
        fatal=True,
    ),
    # x86's rarer traps, s390's program interruptions, mips; then everybody's second line
    _header(
        "oops",
        r"^(?:Oops: )?(?P<what>[a-z][a-zA-Z -]+): [0-9a-f]{4} (?:ilc:\d )?\[#\d",
        "Oops: {what}",
        unless=r"^(?:Oops: )?(?:invalid opcode|int3|double fault)",
    ),
    _header("bug", r"^Kernel bug detected\[#\d", "kernel BUG"),
    _header("oops", r"^Oops(?: - [\w /]+)?(?:: |\[#\d| \[#\d)", "Oops"),
    _header("internal-error", r"^Internal error: (?!Oops)", "Internal error"),
    _header("oops", r"^Internal error: Oops", "Oops"),
    _header("rust-panic", r"^rust_kernel: panicked at ", "rust panic"),
    # --- BUG:
    _header(
        "list-corruption", r"^list_(?:add|del) (?:corruption|double add)", "BUG: corrupted list"
    ),
    _header("usercopy", r"^usercopy: [kK]ernel memory (?P<what>\w+)", "BUG: bad usercopy"),
    _header("fortify", r"^(?:\w+: )?detected buffer overflow(?: in |: )", "BUG: buffer overflow"),
    _header("bug", r"^[kK]ernel BUG at ", "kernel BUG"),
    _header(
        "atomic-sleep",
        r"^BUG: sleeping function called from invalid context",
        "BUG: sleeping function called from invalid context",
    ),
    _header("atomic-sleep", r"^BUG: scheduling while atomic", "BUG: scheduling while atomic"),
    _header(
        "atomic-leak",
        r"^BUG: workqueue leaked (?:lock|atomic).*?(?:last function: (?P<in>\S+))?$",
        "BUG: workqueue leaked lock or atomic",
    ),
    _header(
        "preempt-misuse",
        r"^BUG: using (?P<what>\S+) in preemptible",
        "BUG: using {what} in preemptible code",
    ),
    _header("soft-lockup", r"^(?:(?:NMI )?watchdog: )?BUG: soft lockup", "BUG: soft lockup"),
    _header(
        "hard-lockup",
        r"^(?:(?:NMI )?watchdog: )?(?:(?:CPU\d+: )?Watchdog detected hard LOCKUP|CPU \d+ (?:(?:self-)?detected )?[hH]ard LOCKUP|BUG: hard lockup)",
        "BUG: hard lockup",
    ),
    _header("workqueue-lockup", r"^BUG: workqueue lockup", "BUG: workqueue lockup", blames=False),
    _header(
        "spinlock",
        r"^BUG: (?P<what>(?:spinlock|rwlock|write-lock) [\w ]+?)(?: on CPU| suspected)?(?:#\d+)?(?:, .*)?$",
        "BUG: {what}",
    ),
    _header(
        "bad-state",
        r"^BUG: (?P<what>Bad (?:page state|page map|rss-counter state))",
        "BUG: {what}",
    ),
    _header(
        "bad-state",
        r"^BUG (?P<cache>\S+) *\((?:Not tainted|Tainted: [^)]*)\): (?P<what>[\w -]+)",
        "BUG: {what}",
    ),
    _header(
        "bad-state",
        r"^INFO: (?:Allocated|Freed) in (?P<in>\S+) age=",
        "BUG: slab object, first line lost",
        inner=True,
    ),
    _header("lockdep", r"^BUG: Invalid wait context", "WARNING: locking bug"),
    _header("lockdep", r"^BUG: \S+/\d+ (?P<what>still has locks held)", "BUG: {what}"),
    _header(
        "lockdep",
        r"^BUG: (?P<what>held lock freed|lock held when returning to user space|lock held|bad (?:unlock balance|contention)|Nested lock was not taken|MAX_\w+ too low|looking up invalid subclass|key \S+ has not been registered)",
        "BUG: {what}",
    ),
    _header("kmemleak", r"^BUG: memory leak", "memory leak"),
    _header("bug", r"^BUG: (?P<what>.*)", "BUG: {what}"),
    # --- lockdep and WARNING
    _header(
        "rcu-usage",
        r"^(?P<level>WARNING|INFO): suspicious RCU usage",
        "{level}: suspicious RCU usage",
    ),
    _header(
        "lockdep",
        r"^(?:WARNING|INFO): possible (?:circular locking dependency|recursive locking|irq lock inversion|unsafe|.*) ?detected",
        "possible deadlock",
    ),
    _header("lockdep", r"^(?:WARNING|INFO): .*(?:SOFTIRQ|HARDIRQ)-safe -> ", "possible deadlock"),
    _header(
        "lockdep",
        r"^(?:WARNING|INFO): (?:inconsistent lock state|possible irq lock)",
        "inconsistent lock state",
    ),
    _header(
        "lockdep",
        r"^WARNING: (?P<what>bad (?:unlock balance|contention))",
        "WARNING: {what}",
    ),
    _header("lockdep", r"^WARNING: held lock freed", "WARNING: held lock freed"),
    _header(
        "lockdep",
        r"^WARNING: (?P<what>lock held [\w ]+|Nested lock was not taken|\S+/\d+ (?:is leaving the kernel with locks|still has locks) (?:still )?held)",
        "WARNING: {what}",
    ),
    _header(
        "lockdep",
        r"^INFO: trying to register non-static key",
        "INFO: trying to register non-static key",
    ),
    _header("refcount", r"^refcount_t: (?P<what>[\w ;,-]+?)[.;]", "WARNING: refcount bug"),
    _header(
        "unwinder",
        r"^WARNING: (?P<what>kernel stack (?:regs|frame pointer)) at .* has bad (?P<which>'\w+' )?value",
        "WARNING: {what} has bad {which}value",
    ),
    _header(
        "warning",
        r"^WARNING: (?:CPU: \d+ PID: -?\d+ )?(?:\[.*?\] )?(?:at )?(?P<file>\S+:\d+)(?: (?:at )?(?P<in>[\w.]+)\+0x)?",
        "WARNING",
    ),
    _header("warning", r"^WARNING: CPU: ", "WARNING"),
    _header("warning", r"^WARNING: (?P<what>\S.*)", "WARNING: {what}", needs_stack=True),
    # --- INFO and the rest
    _header(
        "hung-task",
        r"^INFO: task (?P<task>.+?) (?:blocked|can't die)(?: in I/O wait)? for more than",
        "INFO: task hung",
    ),
    _header(
        "rcu-stall",
        r"^(?:rcu: )?INFO: (?:rcu\w* )?.*(?:self-)?detected (?:expedited )?stalls?",
        "INFO: rcu detected stall",
    ),
    _header(
        "rcu-stall",
        r"^rcu: .*(?:self-)?detected (?:expedited )?stalls?",
        "INFO: rcu detected stall",
    ),
    _header("kmemleak", r"^unreferenced object 0x", "memory leak"),
    _header("kmemleak", r"^kmemleak: \d+ new suspected memory leaks", "memory leak", blames=False),
    _header(
        "oom",
        r"^(?:Memory cgroup out|Out) of memory: Kill(?:ed)? process",
        "out of memory",
        blames=False,
    ),
    _header(
        "machine-check",
        r"^mce: \[Hardware Error\]: .*Machine Check|^\{\d+\}\[Hardware Error\]: event severity: fatal|^(?:Severe )?Machine check (?:interrupt|in kernel)",
        "machine check",
        blames=False,
    ),
    _header(
        "refleak",
        r"^unregister_netdevice: waiting for ",
        "unregister_netdevice: waiting for DEV to become free",
        blames=False,
    ),
    _header(
        "refleak",
        r"^VFS: (?P<what>Close: file count is (?:0|zero)|Busy inodes after unmount)",
        "VFS: {what}",
        blames=False,
    ),
)

# lockdep has put its headlines into brackets for years.
_BOX = re.compile(r"^\[ ((?:BUG|INFO|WARNING): .*) \]$")
# Cheap: every header holds one of these, and nearly no other line does.
HINTS = (
    "BUG",
    "WARNING",
    "INFO: ",
    "panic",
    " fault",
    "UBSAN",
    "Unable to",
    "LOCKUP",
    "stall",
    "[#",
    "stack segment",
    "divide",
    "invalid opcode",
    "int3",
    "Oops",
    "Unhandled",
    "Machine check",
    "list_add",
    "Internal error",
    "corruption",
    "refcount_t",
    "kmemleak",
    "unreferenced",
    "of memory",
    "Hardware Error",
    "unregister_netdevice",
    "harness-canary",
    "VFS: ",
    "Alignment trap",
    "usercopy",
    "Insufficient stack",
    "buffer overflow",
)


def match(text: str) -> tuple[Header, re.Match[str]] | None:
    """Return the header that a kernel line's text is, and its match; or None."""
    if not any(word in text for word in HINTS):
        return None
    text = text.strip()
    boxed = _BOX.match(text)
    if boxed is not None:
        text = boxed[1]
    for header in HEADERS:
        found = header.pattern.search(text)
        if found:
            excused = header.unless is not None and header.unless.search(text)
            return None if excused else (header, found)
    return None
