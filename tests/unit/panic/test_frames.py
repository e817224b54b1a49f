# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of frames: stack lines of every architecture are parsed, and each stack has its owner."""

import pytest

from harness.panic.frames import parse_frame, parse_where, read, where
from harness.panic.values import Frame

F = "f"
FRAMES = {
    " f+0x10/0x20": Frame(function=F, offset=16, size=32),
    " ? f+0x10/0x20": Frame(function=F, offset=16, size=32, reliable=False),
    " f+0x10/0x20 [osq]": Frame(function=F, offset=16, size=32, module="osq"),
    " f+0x10/0x20 [osq 0123456789abcdef0123456789abcdef01234567]": Frame(
        function=F, offset=16, size=32, module="osq"
    ),
    " f.part.0+0x10/0x20": Frame(function="f.part.0", offset=16, size=32),
    " f+0x10/0x20 osq/ring.c:12": Frame(function=F, offset=16, size=32, place="osq/ring.c:12"),
    " f osq/ring.c:12 [inline]": Frame(function=F, place="osq/ring.c:12", inline=True),
    " f (osq/ring.c:12) osq": Frame(function=F, place="osq/ring.c:12", module="osq"),
    " ? f (osq/ring.c:12 (discriminator 3))": Frame(
        function=F, place="osq/ring.c:12", reliable=False
    ),
    # x86 up to 4.x, with the address
    " [<ffffffff81234567>] f+0x10/0x20": Frame(function=F, offset=16, size=32),
    " [<ffffffff81234567>] ? f+0x10/0x20": Frame(function=F, offset=16, size=32, reliable=False),
    "  <IRQ>  [<ffffffff81234567>] f+0x10/0x20": Frame(function=F, offset=16, size=32),
    # arm64 with the unwinder's remark
    " f+0x10/0x20 (P)": Frame(function=F, offset=16, size=32),
    # arm, in its old and its new format
    "[<c0112233>] (f) from [<c0445566>] (g+0x14/0x30)": Frame(function=F),
    "[<c0112233>] (f [osq]) from [<c0445566>] (g+0x14/0x30)": Frame(function=F, module="osq"),
    " f from g+0x14/0x30": Frame(function=F),
    " f [osq] from g+0x14/0x30": Frame(function=F, module="osq"),
    # powerpc, riscv, s390
    "[c000000012345678] [c000000000123456] f+0x10/0x20": Frame(function=F, offset=16, size=32),
    "[c000000012345678] [c000000000123456] f+0x10/0x20 (unreliable)": Frame(
        function=F, offset=16, size=32, reliable=False
    ),
    "[<ffffffff80007f9c>] f+0x10/0x20": Frame(function=F, offset=16, size=32),
    " [<00000000001a2b3c>] f+0x10/0x20": Frame(function=F, offset=16, size=32),
    "([<00000000001a2b3c>] f+0x10/0x20)": Frame(function=F, offset=16, size=32),
}
NO_FRAMES = [
    "RAX: 0000000000000000 RBX: ffff888012345678 RCX: 0000000000000001",
    "hardirqs last  enabled at (11): [<ffffffff81234567>] f+0x10/0x20",
    "Modules linked in: osq(OE)",
    "CPU: 1 PID: 12 Comm: sh Not tainted 6.1.0 #1",
    " #0: ffff888012345678 (&ring->lock){....}-{2:2}, at: f+0x10/0x20",
    "x29: ffff80001234abcd x28: ffff000012345678",
    "file.c:12",
    "",
]
POINTERS = {
    "RIP: 0010:f+0x10/0x20": F,
    "RIP: 0010:f+0x10/0x20 [osq]": F,
    "RIP: 0010:[<ffffffff81234567>]  [<ffffffff81234567>] f+0x10/0x20": F,
    "RIP: e030:f+0x10/0x20": F,
    "RIP: 0010:f osq/ring.c:12 [inline]": F,
    "RIP: 0010:f (osq/ring.c:12) osq": F,
    "EIP: f+0x10/0x20": F,
    "EIP is at f+0x10/0x20": F,
    "pc : f+0x10/0x20": F,
    "PC is at f+0x10/0x20": F,
    "epc : f+0x10/0x20": F,
    "NIP [c000000000123456] f+0x10/0x20": F,
    "Krnl PSW : 0704c00180000000 00000000001a2b3c (f+0x10/0x20)": F,
    "RIP: 0033:0x7f1234567890": None,
    "lr : f+0x10/0x20": None,
    "NIP:  c000000000123456 LR: c000000000123450": None,
}
KASAN = """BUG: KASAN: slab-use-after-free in f+0x10/0x20
Read of size 8 at addr ffff888012345678 by task sh/12

CPU: 1 PID: 12 Comm: sh Not tainted 6.1.0 #1
Call Trace:
 <TASK>
 dump_stack_lvl+0x10/0x20
 f+0x10/0x20
 asm_sysvec_apic_timer_interrupt+0x16/0x20
RIP: 0010:g+0x10/0x20
 h+0x10/0x20
 </TASK>

Allocated by task 11:
 kmalloc+0x10/0x20
 a+0x10/0x20

Freed by task 10:
 kfree+0x10/0x20
 b+0x10/0x20
""".splitlines()
STALL = """rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
rcu: RCU grace-period kthread stack dump:
task:rcu_preempt     state:R stack:0 pid:15 ppid:2 flags:0x00004000
Call Trace:
 rcu_gp_kthread+0x10/0x20
NMI backtrace for cpu 1
CPU: 1 PID: 12 Comm: sh Not tainted 6.1.0 #1
RIP: 0010:f+0x10/0x20
Call Trace:
 g+0x10/0x20
NMI backtrace for cpu 0
CPU: 0 PID: 13 Comm: sh Not tainted 6.1.0 #1
RIP: 0010:h+0x10/0x20
Call Trace:
 i+0x10/0x20
""".splitlines()


@pytest.mark.parametrize(("line", "frame"), FRAMES.items())
def test_each_format_of_a_stack_line_is_parsed(line: str, frame: Frame) -> None:
    """From a kernel's stack line come function, offset, size, module, source line and '?'."""
    assert parse_frame(line) == frame


@pytest.mark.parametrize("line", NO_FRAMES)
def test_registers_locks_headings_and_bare_source_places_are_not_parsed_as_frames(
    line: str,
) -> None:
    """Lines of these kinds among a kernel report's stack lines give None, and no frame."""
    assert parse_frame(line) is None


@pytest.mark.parametrize(("line", "function"), POINTERS.items())
def test_only_the_kernels_program_counter_is_read_and_not_user_spaces(
    line: str, function: str | None
) -> None:
    """Of register lines, RIP or pc in the kernel gives a frame; lr and user space's give None."""
    frame = parse_where(line)

    assert (frame.function if frame is not None else None) == function


def test_each_stack_is_named_by_its_heading() -> None:
    """The report's own stack has the name ''; another has its heading, as 'Freed by task 10:'."""
    traces = read(KASAN)

    assert [stack.name for stack in traces.stacks] == [
        "",
        "Allocated by task 11:",
        "Freed by task 10:",
    ]
    assert [frame.function for frame in traces.own][-2:] == ["g", "h"]
    assert traces.pointer == ()


def test_in_a_stall_report_only_the_stalled_cpus_stack_is_without_a_name() -> None:
    """A stack's name is the heading above it, but '' for the CPU that the RCU stall is about."""
    traces = read(STALL)

    assert [(stack.name, stack.frames[-1].function) for stack in traces.stacks] == [
        ("rcu: RCU grace-period kthread stack dump:", "rcu_gp_kthread"),
        ("", "g"),
        ("NMI backtrace for cpu 0", "i"),
    ]
    assert [frame.function for frame in traces.pointer] == ["f"]
    assert [frame.function for frame in where(STALL)] == ["f", "h"]


def test_each_lock_chain_of_a_lockdep_report_is_a_named_stack() -> None:
    """Each chain of a lockdep report is a named stack of its own, before the reporter's stack."""
    text = """WARNING: possible circular locking dependency detected
sh/12 is trying to acquire lock:
ffff888012345678 (&a){+.+.}-{3:3}, at: f+0x10/0x20
the existing dependency chain (in reverse order) is:
-> #1 (&b){+.+.}-{3:3}:
 lock_acquire+0x10/0x20
 g+0x10/0x20
-> #0 (&a){+.+.}-{3:3}:
 lock_acquire+0x10/0x20
 f+0x10/0x20
stack backtrace:
CPU: 1 PID: 12 Comm: sh Not tainted 6.1.0 #1
Call Trace:
 dump_stack_lvl+0x10/0x20
 f+0x10/0x20
""".splitlines()

    assert [(stack.name[:5], stack.frames[-1].function) for stack in read(text).stacks] == [
        ("-> #1", "g"),
        ("-> #0", "f"),
        ("", "f"),
    ]


def test_a_stack_of_5000_frames_is_truncated_to_400() -> None:
    """A stack of 5000 frames is cut to 400."""
    text = ["BUG: x", *(f" f{number}+0x1/0x2" for number in range(5000))]

    assert len(read(text).own) == 400
