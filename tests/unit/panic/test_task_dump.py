# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of task_dump.blocked: of all tasks of a hanging kernel, the one in the module is named."""

from harness.panic.task_dump import blocked

OURS = """
[   60.000000] sysrq: Show Blocked State
[   60.000010] task:kworker/0:1     state:D stack:0     pid:9     ppid:2      flags:0x00004000
[   60.000020] Call Trace:
[   60.000030]  <TASK>
[   60.000040]  __schedule+0x2e1/0x9d0
[   60.000050]  schedule+0x5d/0xe0
[   60.000060]  io_schedule+0x46/0x80
[   60.000070]  bit_wait_io+0x11/0x70
[   60.000080]  ext4_read_bh+0x40/0x90
[   60.000090]  </TASK>
[   60.000100] task:osqstress       state:D stack:0     pid:412   ppid:400    flags:0x00000000
[   60.000110] Call Trace:
[   60.000120]  <TASK>
[   60.000130]  __schedule+0x2e1/0x9d0
[   60.000140]  schedule+0x5d/0xe0
[   60.000150]  schedule_preempt_disabled+0x14/0x30
[   60.000160]  __mutex_lock.constprop.0+0x3b4/0x700
[   60.000170]  osq_crash_deadlock+0x6c/0xa0 [osq_test]
[   60.000180]  osq_test_ioctl+0x9a/0x120 [osq_test]
[   60.000190]  __x64_sys_ioctl+0x90/0xd0
[   60.000200]  </TASK>
[   60.100000] sysrq: Show backtrace of all active CPUs
[   60.100010] NMI backtrace for cpu 1
[   60.100020] CPU: 1 PID: 1 Comm: swapper/1 Tainted: G           OE      6.1.0 #1
[   60.100030] RIP: 0010:native_safe_halt+0xb/0x10
""".strip().splitlines()


def test_the_task_that_hangs_in_the_module_is_named_and_not_a_waiting_worker() -> None:
    """In a sysrq dump's text, a worker that waits for a disk comes first, but is not named."""
    found = blocked(OURS, ("osq", "osq_test"))

    assert found is not None
    assert found.kind == "hang"
    assert found.function == "osq_crash_deadlock"
    assert found.module == "osq_test"
    assert (found.task, found.pid) == ("osqstress", 412)
    assert found.title == "task hangs in osq_crash_deadlock"


def test_the_stack_of_the_task_that_hangs_in_the_module_comes_first() -> None:
    """In the report from a sysrq dump, other tasks' stacks follow, named by task and pid."""
    found = blocked(OURS, ("osq_test",))

    assert found is not None
    first, *others = found.stacks
    assert first.name == ""
    assert any(frame.function == "osq_crash_deadlock" for frame in first.frames)
    assert "kworker/0:1:9" in [stack.name for stack in others]


def test_a_waiting_task_is_named_when_none_is_in_the_module() -> None:
    """If no task of a sysrq dump is in the module under test, another waiting one is named."""
    found = blocked(OURS, ("other",))

    assert found is not None
    assert found.module != "other"
    assert found.task in {"kworker/0:1", "osqstress"}
    assert "schedule" not in found.function


def test_for_a_cpu_spinning_in_the_module_the_function_at_its_rip_is_reported() -> None:
    """An NMI backtrace in a sysrq dump gives a report of a hang, with the spinning task."""
    spinning = """
[   60.100010] NMI backtrace for cpu 0
[   60.100020] CPU: 0 PID: 412 Comm: osqstress Tainted: G           OE      6.1.0 #1
[   60.100030] RIP: 0010:osq_crash_soft_lockup+0x21/0x40 [osq_test]
[   60.100040] Call Trace:
[   60.100050]  <TASK>
[   60.100060]  osq_test_ioctl+0x9a/0x120 [osq_test]
[   60.100070]  </TASK>
""".strip().splitlines()

    found = blocked(spinning, ("osq_test",))

    assert found is not None
    assert found.kind == "hang"
    assert found.function == "osq_crash_soft_lockup"
    assert (found.task, found.pid) == ("osqstress", 412)


def test_a_task_dump_without_any_stack_gives_no_report() -> None:
    """`blocked` returns None for an empty answer to sysrq and for one without a stack."""
    assert blocked((), ("osq",)) is None
    assert blocked(("login: root", "[   60.000000] sysrq: Show Blocked State"), ("osq",)) is None


SLEEPERS = """
[   60.000000] sysrq: Show State
[   60.000100] task:toy_worker      state:S stack:0     pid:40    ppid:2      flags:0x00004000
[   60.000110] Call Trace:
[   60.000120]  __schedule+0x2e1/0x9d0
[   60.000130]  toy_thread+0x30/0x60 [toy]
[   60.000140]  kthread+0xda/0x100
[   60.000150]  ret_from_fork+0x22/0x30
[   60.000200] task:cat             state:S stack:0     pid:41    ppid:9      flags:0x00000000
[   60.000210] Call Trace:
[   60.000220]  __schedule+0x2e1/0x9d0
[   60.000230]  toy_read+0x6c/0xa0 [toy]
[   60.000240]  vfs_read+0x90/0xd0
[   60.000250]  do_syscall_64+0x58/0x80
[   60.000260] Sched Debug Version: v0.11, 6.1.0 #1
[   60.000270] Showing busy workqueues and worker pools:
""".strip().splitlines()


def test_a_process_that_sleeps_in_the_module_is_named_and_not_the_modules_idle_thread() -> None:
    """Of two tasks that sleep in the module, only one in a system call counts as hanging."""
    found = blocked(SLEEPERS, ("toy",))

    assert found is not None
    assert (found.function, found.task, found.pid) == ("toy_read", "cat", 41)
    assert found.text[-1].endswith("do_syscall_64+0x58/0x80")


def test_a_kernel_thread_of_the_module_that_sleeps_idle_is_no_hang() -> None:
    """A sysrq dump in which only the module's idle thread sleeps gives None."""
    assert blocked(SLEEPERS[:7], ("toy",)) is None


def test_a_process_that_sleeps_outside_of_the_module_is_no_hang() -> None:
    """A sysrq dump whose tasks sleep in another module than the one under test gives None."""
    assert blocked(SLEEPERS, ("other",)) is None


def test_a_dump_that_lists_each_task_twice_gives_one_stack_for_each_task() -> None:
    """A task in the answers to both sysrq w and t has one stack in the report."""
    found = blocked([*OURS, *OURS], ("osq_test",))

    assert found is not None
    assert [stack.name for stack in found.stacks] == [
        stack.name for stack in (blocked(OURS, ("osq_test",)) or found).stacks
    ]


def test_a_task_listed_in_two_states_counts_once_with_its_first_listing() -> None:
    """A task that sysrq w lists as waiting and an NMI then shows on a CPU has one stack."""
    later = """
[   60.200010] NMI backtrace for cpu 0
[   60.200020] CPU: 0 PID: 412 Comm: osqstress Tainted: G           OE      6.1.0 #1
[   60.200030] RIP: 0010:osq_crash_deadlock+0x21/0x40 [osq_test]
""".strip().splitlines()

    found = blocked([*OURS, *later], ("osq_test",))

    assert found is not None
    assert [stack.name for stack in found.stacks].count("osqstress:412") == 0
    assert len(found.stacks) == len((blocked(OURS, ("osq_test",)) or found).stacks)
    assert "schedule+0x5d/0xe0" in "\n".join(found.text)
