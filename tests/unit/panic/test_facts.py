# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of facts: a report's text gives task, CPU, taint, registers, release and KASLR offset."""

import pytest

from harness.panic.facts import Who, about_kernel, who
from harness.panic.registers import registers

CPU = (
    "CPU: 1 PID: 42 Comm: kworker/1:2 Tainted: G    B      OE      6.1.0-56-cloud-amd64 #1 Debian"
)
TEXTS = {
    CPU: Who(cpu=1, pid=42, task="kworker/1:2", taint="GBOE"),
    "CPU: 0 UID: 1000 PID: 7 Comm: a b c Not tainted 6.12.0 #1": Who(cpu=0, pid=7, task="a b c"),
    "Pid: 9, comm: old Not tainted 3.2.0 #1": Who(pid=9, task="old"),
    "Process sh (pid: 12, stack limit = 0x00000000)": Who(pid=12, task="sh"),
    # reports about a task that is not the one that prints
    "INFO: task sh:1 blocked for more than 120 seconds.\n" + CPU: Who(
        pid=1, task="sh", taint="GBOE"
    ),
    "watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [a:b:5]\n" + CPU: Who(
        cpu=3, pid=5, task="a:b", taint="GBOE"
    ),
    "watchdog: Watchdog detected hard LOCKUP on cpu 1\n" + CPU: Who(
        cpu=1, pid=42, task="kworker/1:2", taint="GBOE"
    ),
    "BUG: KASAN: x in f+0x1/0x2\nRead of size 8 at addr ffff888012345678 by task sh/12": Who(
        pid=12, task="sh"
    ),
    "BUG: KCSAN: data-race in f / g\nwrite to 0xffff of 8 bytes by task 12 on cpu 1:": Who(
        cpu=1, pid=12
    ),
    "BUG: scheduling while atomic: sh/12/0x00000002": Who(pid=12, task="sh"),
    "BUG: x\nin_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 12, name: sh": Who(
        pid=12, task="sh"
    ),
    "BUG: using smp_processor_id() in preemptible [00000000] code: sh/12": Who(pid=12, task="sh"),
    "WARNING: x\nsh/12 is trying to acquire lock:": Who(pid=12, task="sh"),
    "WARNING: x\nsh/12 [HC0[0]:SC0[0]:HE0:SE1] is trying to acquire:": Who(pid=12, task="sh"),
    "Out of memory: Killed process 12 (osqtail) total-vm:1kB": Who(pid=12, task="osqtail"),
    'unreferenced object 0xffff888012345678 (size 64):\n  comm "sh", pid 12, jiffies 1': Who(
        pid=12, task="sh"
    ),
    "rcu: INFO: rcu_preempt self-detected stall on CPU\nrcu: \t3-....: (99 ticks this GP)": Who(
        cpu=3
    ),
    "WARNING: m.c:7 at f+0x1/0x2, CPU#1: sh/12": Who(cpu=1, pid=12, task="sh"),
    "BUG: x": Who(),
}
X86 = """RIP: 0010:f+0x1/0x2
RSP: 0018:ffffc90000d2fd58 EFLAGS: 00010246
RAX: 0000000000000001 RBX: 0000000000000002 RCX: 0000000000000003
R13: 000000000000000d R14: 000000000000000e R15: 000000000000000f
FS:  00007fa645647700(0000) GS:ffff8880b9a00000(0000) knlGS:0000000000000000
CR2: 0000000000000008 CR3: 000000001eea6000 CR4: 00000000001506f0
Call Trace:
RIP: 0033:0x7f1234567890
RAX: 00000000000000ff RBX: 00000000000000ff RCX: 00000000000000ff
""".splitlines()
ARM64 = """pc : f+0x1/0x2
lr : g+0x1/0x2
sp : ffff80001234abcd
x29: ffff80001234abc0 x28: ffff000012345678 x27: 0000000000000000
x2 : 0000000000000002 x1 : 0000000000000001 x0 : dead000000000100
Call trace:
""".splitlines()


@pytest.mark.parametrize(("text", "expected"), TEXTS.items())
def test_each_form_of_report_gives_the_task_pid_cpu_and_taint_that_its_lines_name(
    text: str, expected: Who
) -> None:
    """A task that the report's own line names is preferred to that of its 'CPU:' line."""
    assert who(text.splitlines()) == expected


def test_registers_of_an_x86_report_are_the_kernels_at_the_trap_and_not_user_spaces() -> None:
    """An x86 oops prints both sets of registers; the ones of the kernel are kept."""
    found = registers(X86)

    assert found["RAX"] == "0000000000000001"
    assert found["RSP"] == "ffffc90000d2fd58"
    assert found["EFLAGS"] == "00010246"
    assert found["R15"] == "000000000000000f"
    assert found["CR2"] == "0000000000000008"


def test_the_registers_of_arm64_are_read() -> None:
    """From an arm64 kernel report the numbered registers such as x0, and sp, are read."""
    found = registers(ARM64)

    assert found["x0"] == "dead000000000100"
    assert found["x28"] == "ffff000012345678"
    assert found["sp"] == "ffff80001234abcd"


def test_a_report_without_a_trap_has_no_registers() -> None:
    """User space's registers after a report's stack are not taken for the kernel's."""
    assert registers(["BUG: KASAN: x in f", "Call Trace:", " f+0x1/0x2", *X86[7:]]) == {}


def test_release_and_kaslr_offset_are_read() -> None:
    """From a kernel report's text come 'uname -r' and 'Kernel Offset', where it has them."""
    text = ["BUG: x", CPU, "Kernel Offset: 0x2e000000 from 0xffffffff81000000"]

    assert about_kernel(text) == {"kernel": "6.1.0-56-cloud-amd64", "kernel-offset": "0x2e000000"}
    assert about_kernel(["BUG: x"]) == {}
