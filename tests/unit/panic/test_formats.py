# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of panic with short reports in the formats of other kernels, ages and architectures.

Each text is one format, cut to the lines that matter, with invented names.
"""

from dataclasses import dataclass

import pytest

from harness.panic.log import LogReader
from harness.panic.values import KernelReport

WHO = "CPU: 0 PID: 79 Comm: sh Not tainted 6.0.0 #1"
NULL = (
    "BUG: kernel NULL pointer dereference, address: 0000000000000008\nOops: 0000 [#1] SMP\n" + WHO
)
MIPS = f"""\
CPU 0 Unable to handle kernel paging request at virtual address 00000000, epc == 826f598c
Oops[#1]:
{WHO}
epc   : 826f598c osq_send+0x430/0x868 [osq]
ra    : 826f0000 osq_output+0x430/0x868 [osq]"""
ARM = f"""\
BUG: scheduling while atomic: sh/79/0x00000202
Modules linked in: osq(O)
{{}}
{WHO}
[<80015b74>] (unwind_backtrace) from [<8001273c>] (show_stack+0x10/0x14)
[<8001273c>] (show_stack) from [<8057b344>] (dump_stack+0x88/0x9c)
[<8057d1d8>] (wait_for_common) from [<7f0d0248>] (osq_set+0xd8/0x144 [osq])"""
WATCHDOG = f"""\
{WHO}
Call Trace:
 <NMI>  [<ffffffff8150b4c5>] dump_stack+0x41/0x51
 [<ffffffff810fccd8>] watchdog_overflow_callback+0x98/0xc0
 [<ffffffff8100fccd>] __perf_event_overflow+0x51/0xf0
 [<ffffffff8100fccd>] do_nmi+0x98/0xc0
 [<ffffffff8100fccd>] end_repeat_nmi+0x1e/0x2e
 [<ffffffffa000fccd>] osq_spin+0x1e/0x2e [osq]
 <<EOE>>  [<ffffffffa000fcce>] osq_ioctl+0x1e/0x2e [osq]
 [<ffffffff8100fcce>] vfs_ioctl+0x1e/0x2e"""
SERROR = f"""\
{WHO}
Call trace:
 panic+0x328/0x390
 nmi_panic+0x94/0xa0
 arm64_serror_panic+0x78/0x90
 do_serror+0x64/0x80
 el1h_64_error_handler+0x30/0x48
 el1h_64_error+0x64/0x68
 osq_set+0x68/0xe8 [osq]"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """The text of one report, and the values that must be read from it."""

    text: str
    kind: str
    function: str
    module: str = "osq"


CASES = {
    "vpanic of 6.17": Case(
        text=f"Kernel panic - not syncing: osq: dead\n{WHO}\nCall Trace:\n dump_stack_lvl+0x60/0x80\n"
        " vpanic+0xf8/0x2dc\n panic+0x5c/0x60\n osq_die+0x10/0xbc [osq]",
        kind="panic",
        function="osq_die",
    ),
    "arm64's SError in a panic": Case(
        text="Kernel panic - not syncing: Asynchronous SError Interrupt\n" + SERROR,
        kind="panic",
        function="osq_set",
    ),
    "arm64's SError": Case(
        text="SError Interrupt on CPU3, code 0xbe000011 -- SError\npc : osq_set+0x68/0xe8 [osq]\n"
        "Kernel panic - not syncing: Asynchronous SError Interrupt\n" + SERROR,
        kind="serror",
        function="osq_set",
    ),
    "inlined places of decode_stacktrace.sh": Case(
        text=f"{NULL}\nRIP: 0010:osq_read (osq.h:35 osq.c:45) osq\nCall Trace:\n"
        "osq_poll (osq.h:30 osq.c:99 (discriminator 3)) osq\nvfs_read (fs/read_write.c:468)",
        kind="null-deref",
        function="osq_read",
    ),
    "mips": Case(text=MIPS, kind="page-fault", function="osq_send"),
    "mips with a trace": Case(
        text=MIPS + "\nCall Trace:\n[<826f0000>] osq_output+0x430/0x868 [osq]",
        kind="page-fault",
        function="osq_send",
    ),
    "nobody disabled preemption": Case(
        text=ARM.format("Preemption disabled at:[<  (null)>]   (null)"),
        kind="atomic-sleep",
        function="osq_set",
    ),
    "nobody disabled preemption, of today": Case(
        text=ARM.format("Preemption disabled at:\n[<0000000000000000>] 0x0"),
        kind="atomic-sleep",
        function="osq_set",
    ),
    "arm's last frame": Case(text=ARM.format(""), kind="atomic-sleep", function="osq_set"),
    "arm's last frame, of today": Case(
        text=f"BUG: scheduling while atomic: sh/79/0x2\n{WHO}\n"
        " wait_for_common from osq_set+0xd8/0x144 [osq]",
        kind="atomic-sleep",
        function="osq_set",
    ),
    "a hung task of unsure frames": Case(
        text="INFO: task osqd:1351 blocked for more than 120 seconds.\nCall Trace:\n"
        " [<ffffffff813a3aee>] ? schedule+0x5b/0x74\n [<ffffffffa03bad39>] ? osq_read+0xa7/0x103 [osq]\n"
        " [<ffffffff8106439d>] ? vfs_read+0x22/0x22",
        kind="hung-task",
        function="osq_read",
    ),
    "a soft lockup of unsure frames": Case(
        text="BUG: soft lockup - CPU#1 stuck for 22s! [sh:22]\nCall Trace:\n"
        " [<ffffffffa03bad39>] ? osq_read+0xa7/0x103 [osq]\n [<ffffffff8106439d>] ? vfs_read+0x22/0x22",
        kind="soft-lockup",
        function="osq_read",
    ),
    "a worker whose stack shows nothing": Case(
        text="rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 0-... } 6 jiffies\n"
        "task:kworker/u4:4    state:R  running task     stack:    0 pid:  314 ppid:     2\n"
        "Workqueue: events_unbound osq_flush [osq]\nCall Trace:\n __schedule+0x246/0x5c0\n"
        " __cond_resched+0x33/0x50\n process_one_work+0x23c/0x3f0",
        kind="rcu-stall",
        function="osq_flush",
    ),
    "a hard lockup as a panic": Case(
        text="Kernel panic - not syncing: Hard LOCKUP\n" + WATCHDOG,
        kind="hard-lockup",
        function="osq_spin",
    ),
    "a hard lockup as a warning": Case(
        text="WARNING: CPU: 3 PID: 0 at kernel/watchdog.c:265 watchdog_overflow_callback+0x98/0xc0()\n"
        "Watchdog detected hard LOCKUP on cpu 3\n" + WATCHDOG,
        kind="hard-lockup",
        function="osq_spin",
    ),
    "powerpc's hard lockup": Case(
        text=f"Watchdog CPU:59 Hard LOCKUP\n{WHO}\nNIP [c000000000d02480] osq_spin+0x10/0x20 [osq]",
        kind="hard-lockup",
        function="osq_spin",
    ),
    "mips' unaligned access": Case(
        text=f"Unhandled kernel unaligned access[#1]:\n{WHO}\nepc   : 80018b70 osq_f+0x5c/0x3c8 [osq]",
        kind="alignment",
        function="osq_f",
    ),
    "RCU of 2.6": Case(
        text="[ INFO: suspicious rcu_dereference_check() usage. ]\n"
        "osq.c:148 invoked rcu_dereference_check() without protection!\nCall Trace:\n"
        " [<ffffffff81093454>] lockdep_rcu_dereference+0xa4/0xc0\n"
        " [<ffffffffa02778c9>] osq_expired+0xc9/0x110 [osq]",
        kind="rcu-usage",
        function="osq_expired",
    ),
    "a slab of 3.2": Case(
        text="BUG osq_task: Objects remaining on kmem_cache_close()\n"
        "Pid: 22919, comm: modprobe Not tainted 3.2.0 #2\nCall Trace:\n"
        " [<ffffffff810fcdcd>] slab_err+0xb0/0xd2\n [<ffffffff81100486>] kmem_cache_destroy+0x11d/0x270\n"
        " [<ffffffffa0112bdc>] osq_exit+0x10/0x12 [osq]",
        kind="bad-state",
        function="osq_exit",
    ),
    "the stack protector's address": Case(
        text="Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: ffffffffc0c88942\n"
        f"{WHO}\nCall Trace:\n dump_stack+0x63/0x90\n panic+0xe4/0x22d\n __stack_chk_fail+0x1b/0x20\n"
        " osq_probe+0x1f2/0x200 [osq]",
        kind="stack-corruption",
        function="osq_probe",
    ),
    "a module that only the header names": Case(
        text="BUG: KASAN: slab-use-after-free in osq_reset+0x9e/0x2e0 [osq]\n"
        "Read of size 4 at addr ffff8888cbb664b0 by task kworker/46:0/36821",
        kind="kasan",
        function="osq_reset",
    ),
    "a test that begins like an allocator": Case(
        text=f"BUG: KASAN: slab-out-of-bounds in kmalloc_oob_left+0x190/0x3b8\n{WHO}\nCall Trace:\n"
        " kasan_report+0x1/0x2\n kmalloc_oob_left+0x190/0x3b8\n kunit_try_run_case+0x190/0x3b8",
        kind="kasan",
        function="kmalloc_oob_left",
        module="",
    ),
    "lockdep of 4.3": Case(
        text="[ INFO: possible recursive locking detected ]\nsh/498 is trying to acquire lock:\n"
        " (&(&q->lock))->rlock){+.-...}, at: [<ffffffffa02277b8>] osq_alloc_queue+0x20/0x8d [osq]\n"
        "stack backtrace:\n [<ffffffff810bfe90>] lock_acquire+0x11b0/0x1560\n"
        " [<ffffffffa02277b8>] osq_alloc_queue+0x20/0x8d [osq]",
        kind="lockdep",
        function="osq_alloc_queue",
    ),
    "a refcount of 4.14": Case(
        text="refcount_t overflow at osq_get+0x12/0x34 [osq] in sh[123], uid/euid: 0/0\n"
        "WARNING: CPU: 0 PID: 79 at kernel/panic.c:657 refcount_error_report+0x9c/0xa1\n" + WHO,
        kind="refcount",
        function="osq_get",
    ),
    "no memory": Case(
        text=f"sh: page allocation failure: order:4, mode:0x40cc0(GFP_KERNEL)\n{WHO}\nCall Trace:\n"
        " dump_stack+0x1/0x2\n warn_alloc+0x1/0x2\n __alloc_pages_slowpath+0x1/0x2\n"
        " __kmalloc+0x1/0x2\n osq_grow+0x1/0x2 [osq]",
        kind="page-allocation-failure",
        function="osq_grow",
    ),
    "arm64's external abort": Case(
        text="Unhandled fault: synchronous external abort (0x96000210) at 0xffffff80096c61b0\n"
        "Internal error: : 96000210 [#1] SMP\nPC is at osq_read+0x70/0x98 [osq]",
        kind="internal-error",
        function="osq_read",
    ),
}


def reports(text: str) -> list[KernelReport]:
    """Return the reports of a log."""
    return list(LogReader().read([text]))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_format_gives_one_report_with_its_kind_and_function(case: Case) -> None:
    """Example reports of many kernels and architectures give kind, guilty function and module."""
    (found,) = reports(case.text)

    assert (found.kind, found.function, found.module) == (case.kind, case.function, case.module)


@pytest.mark.parametrize(
    "text",
    [
        (
            "Alignment trap: not handling instruction f46107cf at [<004e5c4c>]\n"
            "Unhandled fault: alignment exception (0x011) at 0x00508ae4\npgd = ec340000"
        ),
        "Oops: no firmware, using defaults",
        "sh: page allocation failure: order:4, mode:0x40cc0(GFP_KERNEL)",
    ],
)
def test_user_space_faults_driver_messages_and_stackless_allocation_failures_give_no_report(
    text: str,
) -> None:
    """Faults of user space, a driver's message and an allocation without a stack give no report."""
    assert reports(text) == []


@pytest.mark.parametrize(
    ("who", "release"),
    [
        (
            "Kdump: loaded Tainted: P           OE  ------------   3.10.0-1062.el7.x86_64 #1",
            "3.10",
        ),
        ("Tainted: P           OE  ------------   3.10.0-1062.el7.x86_64 #1", "3.10"),
        ("Kdump: loaded Tainted: P           OE     -------  ---  5.14.0-427.el9 #1", "5.14"),
        ("Tainted: P           OE K------------   3.10.0-862 #1", "3.10"),
    ],
)
def test_taint_of_red_hat_kernels_is_read(who: str, release: str) -> None:
    """The 'CPU:' lines of Red Hat's kernels differ; task, taint and release are read from them."""
    header = "WARNING: CPU: 21 PID: 5 at osq.c:45 osq_read+0x1/0x2 [osq]"

    (found,) = reports(f"{header}\nCPU: 21 PID: 5 Comm: foo {who}")

    assert (found.task, found.pid, found.cpu, found.taint[:3]) == ("foo", 5, 21, "POE")
    assert found.facts["kernel"].startswith(release)


def test_repeated_refleak_messages_are_one_report_with_a_count() -> None:
    """The kernel's repeated message about one network device is one report with a count."""
    line = "[{}0.000001] unregister_netdevice: waiting for lo to become free. Usage count = 1"

    (found,) = reports("\n".join(line.format(number) for number in (1, 2, 3)))

    assert (found.kind, found.facts["count"]) == ("refleak", "3")


def test_a_watchdogs_panic_has_the_kind_of_its_lockup() -> None:
    """'Kernel panic: softlockup: hung tasks' after a soft lockup is of the kind soft-lockup."""
    lockup = "[   22.000000] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [sh:79]"
    panic = "[   22.100000] Kernel panic - not syncing: softlockup: hung tasks"
    text = f"{lockup}\n[   22.000001] ---[ end trace 0 ]---\n{panic}"

    from_first, from_both = reports(text)

    assert (from_first.kind, from_both.kind) == ("soft-lockup", "soft-lockup")


REGISTERS = {
    "mips": (
        (
            "$ 0   : 00000000 1100fc01 80b70000 00000001\n$ 4   : 00000004 00000005 00000006 00000007\n"
            "epc   : 826f598c f+0x1/0x2\nStatus: 1100fc03 KERNEL EXL IE"
        ),
        {"$1": "1100fc01", "$7": "00000007", "epc": "826f598c", "Status": "1100fc03"},
    ),
    "powerpc": (
        (
            "NIP:  c000000000d02480 LR: c000000000d02481 CTR: 0000000000000000\n"
            "GPR00: c000000000000000 c000000000000001 c000000000000002 c000000000000003"
        ),
        {"NIP": "c000000000d02480", "LR": "c000000000d02481", "GPR3": "c000000000000003"},
    ),
    "s390": (
        (
            "Krnl PSW : 0704c00180000000 0000000000001234 (f+0x1/0x2)\n           R:0 T:1 IO:1\n"
            "Krnl GPRS: 0000000000000000 0000000000000001 0000000000000002 0000000000000003\n"
            "           0000000000000004 0000000000000005 0000000000000006 0000000000000007"
        ),
        {"PSW-address": "0000000000001234", "GPR0": "0" * 16, "GPR7": "0000000000000007"},
    ),
    "riscv32": (
        "epc : c0001234 ra : c0001230 sp : c1001230\n gp : c1000001 tp : c1234567 t0 : 00000001",
        {"epc": "c0001234", "sp": "c1001230", "t0": "00000001"},
    ),
    "arm": (
        (
            "pc : [<c0123456>]    lr : [<c0123450>]    psr: 60000013\n"
            "sp : c1234567  ip : 00000000  fp : c1234599\nr10: 00000001  r9 : 00000002  r8 : 00000003"
        ),
        {"pc": "c0123456", "psr": "60000013", "fp": "c1234599", "r8": "00000003"},
    ),
    "i386": (
        (
            "EIP: 0060:[<c0123456>] EFLAGS: 00010246 CPU: 0\n"
            "EAX: 00000001 EBX: 00000002 ECX: 00000003 EDX: 00000004"
        ),
        {"EAX": "00000001", "EDX": "00000004"},
    ),
}


@pytest.mark.parametrize("machine", REGISTERS)
def test_the_registers_of_mips_powerpc_s390_riscv32_arm_and_i386_are_read(machine: str) -> None:
    """The registers of each architecture are read by the names that the kernel prints."""
    text, some = REGISTERS[machine]

    (found,) = reports(f"{NULL}\n{text}")

    assert {name: found.registers.get(name) for name in some} == some
