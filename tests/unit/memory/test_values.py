# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of values: deadlocks follow from lock waits, and QEMU's registers are parsed."""

import pytest

from harness.memory import memory_text
from harness.memory.values import (
    LockWait,
    MemoryFrame,
    MemoryStack,
    MemoryView,
    deadlocks,
    parse_registers,
)

# Registers of x86-64 as QEMU 7.2 prints them: short names are padded, segments have several words.
REGISTERS = """
CPU#0
RAX=000000000001ad40 RBX=0000000000000000 RCX=ff1669786dc23680 RDX=4000000000000000
RSI=0000000000000087 RDI=0000000000015a74 RBP=ffffffff83c1aa40 RSP=ffffffff83c03e90
R8 =0000000000022e80 R9 =0000000000000007 R10=00000000fffffffb R11=0000000000000001
R12=0000000000000002 R13=0000000000000003 R14=0000000000000004 R15=0000000000014790
RIP=ffffffff82c0dfeb RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1
ES =0000 0000000000000000 00000000 00000000
CS =0010 0000000000000000 ffffffff 00af9b00 DPL=0 CS64 [-RA]
SS =0018 0000000000000000 ffffffff 00cf9300 DPL=0 DS   [-WA]
DS =0000 0000000000000000 00000000 00000000
CR0=80050033 CR2=000056218dada534 CR3=00000000052b4000 CR4=00751eb0

CPU#1
RAX=000000000001ad40 RBX=0000000000000000
"""


def wait(pid: int, holder: int) -> LockWait:
    """Return the wait of task `pid` for a mutex that task `holder` holds."""
    return LockWait(
        pid=pid,
        comm=f"t{pid}",
        lock=f"lock_{holder} [toy]",
        kind="mutex",
        holder_pid=holder,
        holder_comm=f"t{holder}" if holder else "",
    )


@pytest.mark.parametrize(
    ("edges", "circles"),
    [
        ([(1, 2), (2, 1)], [[1, 2]]),
        ([(1, 2), (2, 3), (3, 1)], [[1, 2, 3]]),
        ([(7, 1), (1, 2), (2, 1)], [[1, 2]]),
        ([(1, 1)], [[1]]),
        ([(1, 2), (2, 1), (3, 4), (4, 3)], [[1, 2], [3, 4]]),
        ([(1, 2), (2, 3)], []),
        ([(1, 0), (0, 0)], [[0]]),
        ([(1, 0)], []),
        ([], []),
    ],
)
def test_deadlocks_returns_each_circle_of_waiting_tasks_once(
    edges: list[tuple[int, int]], circles: list[list[int]]
) -> None:
    """A task that only waits for a member of a lock's circle is not in the result."""
    found = deadlocks(wait(pid, holder) for pid, holder in edges)

    assert [[one.pid for one in circle] for circle in found] == circles


def test_parse_registers_returns_the_registers_of_complete_cpus_only() -> None:
    """From the text of QEMU's `info registers`, a CPU that lacks a register is left out."""
    found = parse_registers(REGISTERS)

    assert sorted(found) == [0]
    assert found[0]["R8"] == 0x22E80
    assert found[0]["R15"] == 0x14790
    assert found[0]["RIP"] == 0xFFFFFFFF82C0DFEB
    assert (found[0]["RFL"], found[0]["CS"], found[0]["SS"]) == (0x246, 0x10, 0x18)
    assert parse_registers("no registers at all") == {}


def test_a_memory_views_text_has_stacks_variables_deadlock_lock_holder_module_and_problems() -> (
    None
):
    """The lines name the dead CPU, variables, deadlock, lock, holder, module and problems."""
    frame = MemoryFrame(
        function="toy_write", module="toy", place="toy.c:5", variables={"count": "(size_t)3"}
    )
    view = MemoryView(
        cpus=(
            MemoryStack(pid=9, comm="writer", state="R", cpu=1, crashed=True, frames=(frame,)),
            MemoryStack(pid=0, comm="swapper/0", state="R", cpu=0, note="in user mode"),
        ),
        blocked=(MemoryStack(pid=1, comm="t1", state="D"), MemoryStack(pid=5, comm="t5")),
        waits=(wait(1, 2), wait(2, 1)),
        driver=("toy: open",),
        problems=("modules: fault",),
    )

    assert memory_text.lines(view) == (
        "CPU 1, on which it died: writer (pid 9, R)",
        "  toy_write (toy.c:5) [toy]",
        "      count = (size_t)3",
        "CPU 0: swapper/0 (pid 0, R)",
        "  no stack: in user mode",
        "deadlock: t1 (1) -> t2 (2) -> t1 (1); each waits for a lock that the next one holds",
        "blocked on mutex lock_2 [toy], held by t2 (2): t1 (pid 1, D)",
        "blocked: t5 (pid 5)",
        "state of the module",
        "  toy: open",
        "not read: modules: fault",
    )
