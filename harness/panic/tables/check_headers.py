# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table of the first lines of reports by the kernel's checks and watchdogs.

The first row that matches wins. Each text is a format in the kernel's source.
"""

from harness.panic.tables.header import header

HEADERS = (
    # --- BUG:
    header(
        "list-corruption", r"^list_(?:add|del) (?:corruption|double add)", "BUG: corrupted list"
    ),
    header("usercopy", r"^usercopy: [kK]ernel memory (?P<what>\w+)", "BUG: bad usercopy"),
    header("fortify", r"^(?:\w+: )?detected buffer overflow(?: in |: )", "BUG: buffer overflow"),
    header("bug", r"^[kK]ernel BUG at ", "kernel BUG"),
    header(
        "atomic-sleep",
        r"^BUG: sleeping function called from invalid context",
        "BUG: sleeping function called from invalid context",
    ),
    header("atomic-sleep", r"^BUG: scheduling while atomic", "BUG: scheduling while atomic"),
    header(
        "atomic-leak",
        r"^BUG: workqueue leaked (?:lock|atomic).*?(?:last function: (?P<in>\S+))?$",
        "BUG: workqueue leaked lock or atomic",
    ),
    header(
        "preempt-misuse",
        r"^BUG: using (?P<what>\S+) in preemptible",
        "BUG: using {what} in preemptible code",
    ),
    header("soft-lockup", r"^(?:(?:NMI )?watchdog: )?BUG: soft lockup", "BUG: soft lockup"),
    header(
        "hard-lockup",
        r"^(?:(?:NMI )?watchdog: )?(?:(?:CPU\d+: )?Watchdog detected hard LOCKUP|CPU \d+ (?:(?:self-)?detected )?[hH]ard LOCKUP|Watchdog CPU:\d+ (?:detected )?Hard LOCKUP|BUG: hard lockup)",
        "BUG: hard lockup",
    ),
    header("workqueue-lockup", r"^BUG: workqueue lockup", "BUG: workqueue lockup", blames=False),
    header(
        "spinlock",
        r"^BUG: (?P<what>(?:spinlock|rwlock|write-lock) [\w ]+?)(?: on CPU| suspected)?(?:#\d+)?(?:, .*)?$",
        "BUG: {what}",
    ),
    header(
        "bad-state",
        r"^BUG: (?P<what>Bad (?:page state|page map|rss-counter state))",
        "BUG: {what}",
    ),
    header(
        "bad-state",
        r"^BUG (?P<cache>\S+?)(?: *\((?:Not tainted|Tainted: [^)]*)\))?: (?P<what>[\w -]+)",
        "BUG: {what}",
    ),
    header(
        "bad-state",
        r"^INFO: (?:Allocated|Freed) in (?P<in>\S+) age=",
        "BUG: slab object, first line lost",
        inner=True,
    ),
    header("lockdep", r"^BUG: Invalid wait context", "WARNING: locking bug"),
    header("lockdep", r"^BUG: \S+/\d+ (?P<what>still has locks held)", "BUG: {what}"),
    header(
        "lockdep",
        r"^BUG: (?P<what>held lock freed|lock held when returning to user space|lock held|bad (?:unlock balance|contention)|Nested lock was not taken|MAX_\w+ too low|looking up invalid subclass|key \S+ has not been registered)",
        "BUG: {what}",
    ),
    header("kmemleak", r"^BUG: memory leak", "memory leak"),
    header("bug", r"^BUG: (?P<what>.*)", "BUG: {what}"),
    # --- lockdep and WARNING
    header(
        "rcu-usage",
        r"^(?P<level>WARNING|INFO): suspicious RCU usage",
        "{level}: suspicious RCU usage",
    ),
    header(
        "rcu-usage",
        r"^(?P<level>WARNING|INFO): suspicious rcu_dereference_check\(\) usage",
        "{level}: suspicious RCU usage",
    ),
    header(
        "lockdep",
        r"^(?:WARNING|INFO): possible (?:circular locking dependency|recursive locking|irq lock inversion|unsafe|.*) ?detected",
        "possible deadlock",
    ),
    header("lockdep", r"^(?:WARNING|INFO): .*(?:SOFTIRQ|HARDIRQ)-safe -> ", "possible deadlock"),
    header(
        "lockdep",
        r"^(?:WARNING|INFO): (?:inconsistent lock state|possible irq lock)",
        "inconsistent lock state",
    ),
    header(
        "lockdep",
        r"^WARNING: (?P<what>bad (?:unlock balance|contention))",
        "WARNING: {what}",
    ),
    header("lockdep", r"^WARNING: held lock freed", "WARNING: held lock freed"),
    header(
        "lockdep",
        r"^WARNING: (?P<what>lock held [\w ]+|Nested lock was not taken|\S+/\d+ (?:is leaving the kernel with locks|still has locks) (?:still )?held)",
        "WARNING: {what}",
    ),
    header(
        "lockdep",
        r"^INFO: trying to register non-static key",
        "INFO: trying to register non-static key",
    ),
    header("refcount", r"^refcount_t: (?P<what>[\w ;,-]+?)[.;]", "WARNING: refcount bug"),
    # The format of refcount_error_report() of x86, 4.14 to 5.4.
    header(
        "refcount",
        r"^refcount_t (?P<what>[\w ]+?) at (?P<in>[\w.]+)\+0x",
        "WARNING: refcount bug",
    ),
    header(
        "unwinder",
        r"^WARNING: (?P<what>kernel stack (?:regs|frame pointer)) at .* has bad (?P<which>'\w+' )?value",
        "WARNING: {what} has bad {which}value",
    ),
    header(
        "warning",
        r"^WARNING: (?:CPU: \d+ PID: -?\d+ )?(?:\[.*?\] )?(?:at )?(?P<file>\S+:\d+)(?: (?:at )?(?P<in>[\w.]+)(?:\+0x| \(\S+:\d+))?",
        "WARNING",
    ),
    header("warning", r"^WARNING: CPU: ", "WARNING"),
    header("warning", r"^WARNING: (?P<what>\S.*)", "WARNING: {what}", needs_stack=True),
    # --- INFO and other lines
    header(
        "hung-task",
        r"^INFO: task (?P<task>.+?) (?:blocked|can't die)(?: in I/O wait)? for more than",
        "INFO: task hung",
    ),
    # The second line of that report.
    header(
        "hung-task",
        r'^"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables',
        "INFO: task hung",
        inner=True,
    ),
    header(
        "rcu-stall",
        r"^(?:rcu: )?INFO: (?:rcu\w* )?.*(?:self-)?detected (?:expedited )?stalls?",
        "INFO: rcu detected stall",
    ),
    header(
        "rcu-stall",
        r"^rcu: .*(?:self-)?detected (?:expedited )?stalls?",
        "INFO: rcu detected stall",
    ),
    header("kmemleak", r"^unreferenced object 0x", "memory leak"),
    header("kmemleak", r"^kmemleak: \d+ new suspected memory leaks", "memory leak", blames=False),
    header(
        "oom",
        r"^(?:Memory cgroup out|Out) of memory: Kill(?:ed)? process",
        "out of memory",
        blames=False,
    ),
    header(
        "page-allocation-failure",
        r"^\S.{0,40}: page allocation failure[.:]",
        "page allocation failure",
        needs_stack=True,
    ),
    header(
        "machine-check",
        r"^(?:mce: )?(?:\[Hardware Error\]: )?CPU ?\d+: Machine Check(?: Exception)?: |^mce: \[Hardware Error\]: .*Machine Check|^\{\d+\}\[Hardware Error\]: event severity: fatal|^(?:Severe )?Machine check (?:interrupt|in kernel)",
        "machine check",
        blames=False,
    ),
    header(
        "refleak",
        r"^unregister_netdevice: waiting for ",
        "unregister_netdevice: waiting for DEV to become free",
        blames=False,
    ),
    header(
        "refleak",
        r"^VFS: (?P<what>Close: file count is (?:0|zero)|Busy inodes after unmount)",
        "VFS: {what}",
        blames=False,
    ),
)
