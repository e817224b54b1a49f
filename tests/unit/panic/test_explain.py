# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of explain: a report's text gives kind, title, function, module, place and stacks."""

from dataclasses import dataclass

import pytest

from harness.panic.explain import explain
from harness.panic.values import KernelReport

CPU = "CPU: 1 PID: 42 Comm: sh Tainted: G           OE      6.1.0 #1"
STACK = f"""{CPU}
Call Trace:
 <TASK>
 dump_stack_lvl+0x1/0x2
 _raw_spin_lock+0x1/0x2
 osq_reserve+0x1/0x2 [osq]
 osq_ioctl+0x1/0x2 [osq]
 __x64_sys_ioctl+0x1/0x2
 do_syscall_64+0x1/0x2
 </TASK>"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """The text of one report, and the values that explain must return for it."""

    text: str
    kind: str
    title: str
    function: str = "osq_reserve"
    module: str = "osq"
    place: str = ""


CASES = {
    "oops in a helper": Case(
        text=f"BUG: kernel NULL pointer dereference, address: 08\n#PF: x\nOops: 0002 [#1]\n{CPU}\n"
        "RIP: 0010:memcpy+0x1/0x2\nCall Trace:\n osq_reserve+0x1/0x2 [osq]\n"
        " osq_ioctl+0x1/0x2 [osq]",
        kind="null-deref",
        title="BUG: unable to handle kernel NULL pointer dereference in osq_reserve",
    ),
    "arm64": Case(
        text="Unable to handle kernel paging request at virtual address dead000000000108\n"
        "Mem abort info:\nInternal error: Oops: 96000044 [#1] SMP\n"
        f"{CPU}\npc : __list_del_entry_valid+0x1/0x2\nlr : osq_reserve+0x1/0x2 [osq]\n"
        "Call trace:\n __list_del_entry_valid+0x1/0x2\n"
        " osq_reserve+0x1/0x2 [osq]\n el0_svc+0x1/0x2",
        kind="page-fault",
        title="BUG: unable to handle kernel paging request in osq_reserve",
    ),
    "kasan": Case(
        text="BUG: KASAN: slab-use-after-free in osq_reserve+0x1/0x2 [osq]\n"
        f"Read of size 8 at addr ffff888012345678 by task sh/42\n\n{STACK}\n\n"
        "Allocated by task 41:\n kasan_save_stack+0x1/0x2\n other+0x1/0x2",
        kind="kasan",
        title="KASAN: slab-use-after-free Read in osq_reserve",
    ),
    "kasan by a helper": Case(
        text=f"BUG: KASAN: slab-out-of-bounds in memcpy+0x1/0x2\n"
        f"Write of size 8 at addr ffff\n{STACK}",
        kind="kasan",
        title="KASAN: slab-out-of-bounds Write in osq_reserve",
    ),
    "kcsan": Case(
        text="BUG: KCSAN: data-race in osq_reserve / osq_commit\n\n"
        "write to 0xffff of 8 bytes by task 42 on cpu 1:\n osq_reserve+0x1/0x2 [osq]\n\n"
        "read to 0xffff of 8 bytes by task 43 on cpu 0:\n osq_commit+0x1/0x2 [osq]",
        kind="kcsan",
        title="KCSAN: data-race in osq_reserve",
    ),
    "kmsan": Case(
        text="BUG: KMSAN: uninit-value in osq_reserve+0x1/0x2\n osq_reserve+0x1/0x2 [osq]\n\n"
        "Uninit was created at:\n kmalloc+0x1/0x2\n maker+0x1/0x2",
        kind="kmsan",
        title="KMSAN: uninit-value in osq_reserve",
    ),
    "kfence": Case(
        text="BUG: KFENCE: use-after-free read in osq_reserve+0x1/0x2 [osq]\n\n"
        "Use-after-free read at 0xffff (in kfence-#7):\n osq_reserve+0x1/0x2 [osq]\n\n"
        "kfence-#7: 0xffff-0xffff\nallocated by task 4 on cpu 1:\n other+0x1/0x2",
        kind="kfence",
        title="KFENCE: use-after-free read in osq_reserve",
    ),
    "ubsan": Case(
        text=f"UBSAN: array-index-out-of-bounds in osq/ring.c:10:3\n"
        f"index 9 is out of range\n{STACK}",
        kind="ubsan",
        title="UBSAN: array-index-out-of-bounds in osq_reserve",
        place="osq/ring.c:10",
    ),
    "warning": Case(
        text=f"WARNING: CPU: 1 PID: 42 at osq/ring.c:10 osq_reserve+0x1/0x2 [osq]\n{CPU}\n"
        "RIP: 0010:osq_reserve+0x1/0x2 [osq]\nCall Trace:\n osq_ioctl+0x1/0x2 [osq]",
        kind="warning",
        title="WARNING in osq_reserve",
        place="osq/ring.c:10",
    ),
    "warning of 6.17": Case(
        text="WARNING: [count > 3] osq/ring.c:10 at osq_reserve+0x1/0x2 [osq], CPU#1: sh/42\n"
        "RIP: 0010:osq_reserve+0x1/0x2 [osq]\nCall Trace:\n osq_ioctl+0x1/0x2 [osq]",
        kind="warning",
        title="WARNING in osq_reserve",
        place="osq/ring.c:10",
    ),
    "refcount": Case(
        text="refcount_t: underflow; use-after-free.\n"
        "WARNING: CPU: 1 PID: 42 at lib/refcount.c:28 refcount_warn_saturate+0x1/0x2\n"
        f"RIP: 0010:refcount_warn_saturate+0x1/0x2\n{STACK}",
        kind="refcount",
        title="WARNING: refcount bug in osq_reserve",
    ),
    "BUG()": Case(
        text="kernel BUG at osq/ring.c:10!\ninvalid opcode: 0000 [#1]\n"
        f"{CPU}\nRIP: 0010:osq_reserve+0x1/0x2 [osq]\nCall Trace:\n osq_ioctl+0x1/0x2 [osq]",
        kind="bug",
        title="kernel BUG in osq_reserve",
        place="osq/ring.c:10",
    ),
    "list": Case(
        text="list_add corruption. next->prev should be prev\nkernel BUG at lib/list_debug.c:29!\n"
        f"invalid opcode: 0000 [#1]\nRIP: 0010:__list_add_valid+0x1/0x2\n{STACK}",
        kind="list-corruption",
        title="BUG: corrupted list in osq_reserve",
    ),
    "deadlock": Case(
        text="WARNING: possible recursive locking detected\nsh/42 is trying to acquire lock:\n"
        f"ffff (&a){{+.+.}}-{{3:3}}, at: osq_commit+0x1/0x2 [osq]\n\nstack backtrace:\n{STACK}",
        kind="lockdep",
        title="possible deadlock in osq_commit",
        function="osq_commit",
    ),
    "an irq's lock": Case(
        text="WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected\n"
        "sh/42 [HC0[0]:SC0[0]:HE0:SE1] is trying to acquire:\nffff (&a){+.+.}, at: osq_x+0x1/0x2\n"
        "... which became HARDIRQ-irq-safe at:\n lock_acquire+0x1/0x2\n"
        " osq_interrupt+0x1/0x2 [osq]\n"
        f"stack backtrace:\n{STACK}",
        kind="lockdep",
        title="possible deadlock in osq_interrupt",
        function="osq_interrupt",
    ),
    "hung task": Case(
        text="INFO: task sh:42 blocked for more than 120 seconds.\n"
        "task:sh              state:D stack:0     pid:42    ppid:1      flags:0x00000000\n"
        "Call Trace:\n __schedule+0x1/0x2\n schedule+0x1/0x2\n __mutex_lock+0x1/0x2\n"
        " osq_reserve+0x1/0x2 [osq]\n osq_ioctl+0x1/0x2 [osq]",
        kind="hung-task",
        title="INFO: task hung in osq_reserve",
    ),
    "atomic": Case(
        text="BUG: sleeping function called from invalid context at mm/x.c:3\n"
        "in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 42, name: sh\n"
        f"Preemption disabled at:\n[<ffffffffc0123456>] osq_before+0x1/0x2 [osq]\n{STACK}",
        kind="atomic-sleep",
        title="BUG: sleeping function called from invalid context in osq_reserve",
    ),
    "leak": Case(
        text='unreferenced object 0xffff888012345678 (size 64):\n  comm "sh", pid 42, jiffies 1\n'
        "  backtrace (crc 0):\n    kmalloc+0x1/0x2\n    osq_alloc_ring+0x1/0x2 [osq]\n"
        "    osq_reserve+0x1/0x2 [osq]",
        kind="kmemleak",
        title="memory leak in osq_reserve",
    ),
    "stack": Case(
        text=f"BUG: TASK stack guard page was hit at ffff (stack is ffff..ffff)\n{CPU}\n"
        "RIP: 0010:osq_reserve+0x1/0x2 [osq]\nCall Trace:\n"
        + " osq_reserve+0x1/0x2 [osq]\n" * 9
        + " osq_ioctl+0x1/0x2 [osq]\n do_syscall_64+0x1/0x2",
        kind="stack-overflow",
        title="BUG: stack guard page was hit in osq_reserve",
    ),
    "a stack of unsure frames": Case(
        text=f"general protection fault: 0000 [#1]\n{CPU}\nCall Trace:\n ? memcpy+0x1/0x2\n"
        " ? osq_reserve+0x1/0x2 [osq]",
        kind="general-protection",
        title="general protection fault in osq_reserve",
    ),
    "nothing but a line": Case(
        text="Out of memory: Killed process 12 (osqtail) total-vm:1kB",
        kind="oom",
        title="out of memory",
        function="",
        module="",
    ),
}


def explained(text: str) -> KernelReport:
    """Return the report that explain makes of a text."""
    found = explain(text.splitlines())
    assert found is not None
    return found


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_report_has_its_title_and_guilty_function(case: Case) -> None:
    """Example kernel reports give the expected kind, title, function, module and source line."""
    found = explained(case.text)

    assert (found.kind, found.title, found.function, found.module, found.place) == (
        case.kind,
        case.title,
        case.function,
        case.module,
        case.place,
    )


def test_a_kasan_report_gives_task_cpu_taint_release_and_named_stacks() -> None:
    """An example KASAN text gives task, CPU, taint, release; the bad access's stack is first."""
    found = explained(CASES["kasan"].text)

    assert (found.task, found.pid, found.cpu, found.taint) == ("sh", 42, 1, "GOE")
    assert [stack.name for stack in found.stacks] == ["", "Allocated by task 41:"]
    assert found.facts == {"kernel": "6.1.0"}


def test_the_trapping_function_is_the_first_frame() -> None:
    """A report's stack begins with the function of RIP or pc, even if the kernel repeats it."""
    x86 = explained(CASES["oops in a helper"].text).stacks[0]
    arm64 = explained(CASES["arm64"].text).stacks[0]

    assert [frame.function for frame in x86.frames] == ["memcpy", "osq_reserve", "osq_ioctl"]
    assert [frame.function for frame in arm64.frames] == [
        "__list_del_entry_valid",
        "osq_reserve",
        "el0_svc",
    ]


def test_reports_of_list_and_refcount_checks_give_no_source_line_for_the_guilty_caller() -> None:
    """The file and line in these kernel reports are those of the check, not of its caller."""
    assert explained(CASES["list"].text).place == ""
    assert explained(CASES["refcount"].text).place == ""


@pytest.mark.parametrize("text", ["", "hello", "WARNING: the weather changes"])
def test_text_without_a_report_gives_none(text: str) -> None:
    """`explain` returns None for text without a report's first line or the stack it needs."""
    assert explain(text.splitlines()) is None
