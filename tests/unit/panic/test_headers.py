# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of headers: the first line of each kind of report is recognized."""

import pytest

from harness.panic.headers import HEADERS, HINTS, match

KINDS = {
    "canary": ["harness-canary 0123: WARNING: planted"],
    "panic": [
        "Kernel panic - not syncing: sysrq triggered crash",
        "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
    ],
    "stack-corruption": [
        "Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: f+0x1/0x2 [m]"
    ],
    "stack-overflow": [
        "Kernel panic - not syncing: corrupted stack end detected inside scheduler",
        "Kernel panic - not syncing: kernel stack overflow",
        "BUG: stack guard page was hit at 0000000012345678 (stack is 00000000..00000000)",
        "BUG: TASK stack guard page was hit at ffffc900 (stack is ffffc900..ffffc900)",
        "Insufficient stack space to handle exception!",
    ],
    "double-fault": ["traps: PANIC: double fault, error_code: 0x0", "double fault: 0000 [#1] SMP"],
    "kasan": [
        "BUG: KASAN: slab-out-of-bounds in f+0x1/0x2 [m]",
        "BUG: KASAN: double-free or invalid-free in f+0x1/0x2",
        "BUG: KASan: use after free in f+0x1/0x2 at addr ffff880012345678",
        "BUG: KASAN: invalid-access",
    ],
    "kmsan": ["BUG: KMSAN: kernel-infoleak in f+0x1/0x2"],
    "kfence": ["BUG: KFENCE: memory corruption in f+0x1/0x2 [m]", "BUG: KFENCE: invalid read"],
    "kcsan": ["BUG: KCSAN: data-race in f / g", "BUG: KCSAN: assert: race in f / g"],
    "ubsan": [
        "UBSAN: shift-out-of-bounds in m.c:3:4",
        "UBSAN: Undefined behaviour in ./include/x.h:7:3",
        "Internal error: UBSAN: array index out of bounds: 00000000f2005512 [#1] SMP",
    ],
    "null-deref": [
        "BUG: kernel NULL pointer dereference, address: 0000000000000008",
        "BUG: unable to handle kernel NULL pointer dereference at 0000000000000008",
        "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000008",
        "BUG: Kernel NULL pointer dereference on read at 0x00000008",
    ],
    "page-fault": [
        "BUG: unable to handle page fault for address: ffffc90000400000",
        "BUG: unable to handle kernel paging request at ffffc90000400000",
        "Unable to handle kernel paging request at virtual address dead000000000108",
        "Unable to handle kernel access to user memory outside uaccess routines at virtual 0x8",
        "BUG: Unable to handle kernel data access on write at 0xc00a000000000000",
        "CPU 0 Unable to handle kernel paging request at virtual address 00000008, epc == 8010",
        "Unable to handle kernel pointer dereference in virtual kernel address space",
    ],
    "unhandled-fault": [
        "Unhandled fault: imprecise external abort (0x1c06) at 0x00000000",
        "Unhandled prefetch abort: debug event (0x222) at 0x00000000",
    ],
    "alignment": [
        "Alignment trap: not handling instruction e1d430b0 at [<c0112233>]",
        "Unhandled kernel unaligned access[#1]:",
        "Oops - load address misaligned [#1]",
        "Oops - store (or AMO) address misaligned [#1]",
    ],
    "general-protection": [
        "general protection fault: 0000 [#1] PREEMPT SMP",
        "Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1]",
    ],
    "stack-segment": ["stack segment: 0000 [#1] SMP", "Oops: stack segment: 0000 [#1] SMP"],
    "divide-error": ["divide error: 0000 [#1] SMP", "Oops: divide error: 0000 [#1] SMP"],
    "invalid-opcode": ["invalid opcode: 0000 [#1] SMP", "Oops: invalid opcode: 0000 [#1] SMP"],
    "int3": ["int3: 0000 [#1] SMP"],
    "oops": [
        "Oops: 0002 [#1] PREEMPT SMP",
        "Oops: Oops: 0002 [#1] PREEMPT SMP",
        "Oops [#1]",
        "Oops - illegal instruction [#1]",
        "Oops[#1]:",
        "Oops: Kernel access of bad area, sig: 11 [#1]",
        "Internal error: Oops - undefined instruction: 0 [#1] ARM",
        "illegal operation: 0001 ilc:1 [#1] SMP",
        "alignment check: 0000 [#1] SMP",
        "Reserved instruction in kernel code[#1]:",
    ],
    "internal-error": [
        "Internal error: synchronous external abort: 96000210 [#1] SMP",
        "Unhandled fault: synchronous external abort (0x96000210) at 0xffffff80096c61b0",
    ],
    "rust-panic": ["rust_kernel: panicked at m.rs:3:5:"],
    "list-corruption": [
        "list_del corruption. prev->next should be ffff, but was ffff",
        "list_add double add: new=ffff, prev=ffff, next=ffff.",
    ],
    "usercopy": [
        "usercopy: Kernel memory exposure attempt detected from SLUB object 'x' (offset 0)!",
        "usercopy: kernel memory overwrite attempt detected to ffff (kmalloc-64) (64 bytes)",
    ],
    "fortify": [
        "detected buffer overflow in memcpy",
        "strnlen: detected buffer overflow: 5 byte read of buffer size 4",
    ],
    "bug": ["kernel BUG at m.c:9!", "BUG: something else", "Kernel bug detected[#1]:"],
    "atomic-sleep": [
        "BUG: sleeping function called from invalid context at m.c:3",
        "BUG: scheduling while atomic: sh/1/0x00000002",
    ],
    "atomic-leak": ["BUG: workqueue leaked atomic, lock or RCU: kworker/0:1[123]"],
    "preempt-misuse": ["BUG: using smp_processor_id() in preemptible [00000000] code: sh/12"],
    "soft-lockup": [
        "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [sh:1]",
        "NMI watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [sh:1]",
        "BUG: soft lockup - CPU#0 stuck for 22s! [sh:1]",
        "Kernel panic - not syncing: softlockup: hung tasks",
    ],
    "hard-lockup": [
        "NMI watchdog: Watchdog detected hard LOCKUP on cpu 1",
        "watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 1",
        "watchdog: CPU 3 self-detected hard LOCKUP @ f+0x1/0x2",
        "Watchdog CPU:59 Hard LOCKUP",
        "Watchdog CPU:0 detected Hard LOCKUP other CPUS:1",
        "Kernel panic - not syncing: Hard LOCKUP",
        "Kernel panic - not syncing: Watchdog detected hard LOCKUP on cpu 3",
    ],
    "workqueue-lockup": ["BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck!"],
    "spinlock": [
        "BUG: spinlock bad magic on CPU#0, sh/12",
        "BUG: rwlock recursion on CPU#0, sh/12",
        "BUG: write-lock lockup suspected on CPU#0, sh/12",
    ],
    "bad-state": [
        "BUG: Bad page state in process sh  pfn:12345",
        "INFO: Freed in f+0x1/0x2 age=1 cpu=1 pid=6",
        "BUG kmalloc-64 (Tainted: G    B): Redzone overwritten",
        "BUG kmalloc-8k(17:syz0) (Not tainted): Poison overwritten",
        "BUG sas_task: Objects remaining on kmem_cache_close()",
    ],
    "rcu-usage": [
        "WARNING: suspicious RCU usage",
        "[ INFO: suspicious RCU usage. ]",
        "[ INFO: suspicious rcu_dereference_check() usage. ]",
    ],
    "lockdep": [
        "WARNING: possible circular locking dependency detected",
        "[ INFO: possible recursive locking detected ]",
        "WARNING: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected",
        "WARNING: inconsistent lock state",
        "WARNING: bad unlock balance detected!",
        "[ BUG: bad unlock balance detected! ]",
        "WARNING: held lock freed!",
        "[ BUG: Invalid wait context ]",
        "WARNING: lock held when returning to user space!",
        "INFO: trying to register non-static key.",
        "BUG: MAX_LOCKDEP_CHAINS too low!",
    ],
    "refcount": [
        "refcount_t: addition on 0; use-after-free.",
        "refcount_t overflow at osq_get+0x12/0x34 in sh[123], uid/euid: 0/0",
    ],
    "unwinder": ["WARNING: kernel stack regs at ffff in sh:12 has bad 'bp' value ffff"],
    "warning": [
        "WARNING: CPU: 1 PID: 42 at m.c:7 f+0x1/0x2 [m]",
        "WARNING: at m.c:7 f+0x1/0x2()",
        "WARNING: m.c:7 at f+0x1/0x2, CPU#0: sh/12",
        "WARNING: stack recursion on stack type 4",
    ],
    "hung-task": [
        "INFO: task sh:1 blocked for more than 120 seconds.",
        "INFO: task sh:1 can't die for more than 120 seconds.",
    ],
    "rcu-stall": [
        "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
        "INFO: rcu_sched self-detected stall on CPU { 0}  (t=1 jiffies)",
        "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 0-.... }",
        "rcu: INFO: rcu_tasks detected stalls on tasks:",
        "Kernel panic - not syncing: RCU Stall",
    ],
    "kmemleak": [
        "BUG: memory leak",
        "unreferenced object 0xffff888012345678 (size 64):",
        "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
    ],
    "oom": [
        "Out of memory: Killed process 12 (osqtail) total-vm:1kB",
        "Memory cgroup out of memory: Kill process 12 (osqtail) score 9 or sacrifice child",
    ],
    "machine-check": [
        "mce: [Hardware Error]: CPU 0: Machine Check Exception: 5 Bank 6: be00",
        "{1}[Hardware Error]: event severity: fatal",
    ],
    "serror": ["SError Interrupt on CPU3, code 0x00000000be000011 -- SError"],
    "page-allocation-failure": ["kworker/u4:4: page allocation failure: order:4, mode:0x40a20"],
    "refleak": [
        "unregister_netdevice: waiting for lo to become free. Usage count = 2",
        "VFS: Busy inodes after unmount of loop0. Self-destruct in 5 seconds.",
    ],
}
NONE = [
    "",
    "INFO: lockdep is turned off.",
    "INFO: NMI handler (perf_event_nmi_handler) took too long to run: 1.000 msecs",
    "INFO: task sh:1 is blocked on a mutex likely owned by task sh:2.",
    "traps: sh[12] general protection fault ip:1 sp:2 error:0 in sh[0+1000]",
    "traps: sh[12] trap divide error ip:1 sp:2 error:0 in sh[0+1000]",
    "sh[12]: segfault at 0 ip 0 sp 0 error 4 in sh[0+1000]",
    "mce: CPU supports 10 MCE banks",
    "mce: [Hardware Error]: Machine check events logged",
    "Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on",
    "debug: WARNINGS are on",
    "rcu: Hierarchical SRCU implementation.",
    "systemd[1]: BUG: a program's words",
    "x86/fpu: default fault handling",
    "Oops: no firmware, using defaults",
    "BUG at the end of the list",
    "kmemleak: Kernel memory leak detector initialized (mem pool available: 15000)",
]
EXAMPLES = [(kind, line) for kind, lines in KINDS.items() for line in lines]


@pytest.mark.parametrize(("kind", "line"), EXAMPLES)
def test_match_returns_the_right_report_kind_for_each_example_of_a_reports_first_line(
    kind: str, line: str
) -> None:
    """First lines of reports from many kernel releases and architectures give their kind."""
    found = match(line)

    assert found is not None
    assert found[0].kind == kind


@pytest.mark.parametrize("line", NONE)
def test_lines_that_resemble_headers_do_not_match(line: str) -> None:
    """Harmless kernel messages and user space's faults are no first line of a kernel report."""
    assert match(line) is None


def test_every_kind_in_the_tables_has_an_example() -> None:
    """Each kind of kernel report that can be recognized has an example line in this test file."""
    assert {header.kind for header in HEADERS} == set(KINDS)


def test_every_example_contains_a_word_that_the_scanner_searches_for() -> None:
    """Each report's first line has a word of HINTS; the scanner skips lines without one."""
    assert [line for _, line in EXAMPLES if not any(word in line for word in HINTS)] == []
