# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of hangs: a sleeping task is named by its wait, a spinning CPU by its operation."""

import pytest

from harness.panic.hangs import sleeper, spinner
from harness.panic.values import Frame

TICK = (
    "dump_stack nmi_cpu_backtrace nmi_trigger_cpumask_backtrace arch_trigger_cpumask_backtrace "
    "rcu_dump_cpu_stacks print_cpu_stall rcu_sched_clock_irq update_process_times "
    "tick_sched_handle tick_sched_timer __hrtimer_run_queues hrtimer_interrupt "
    "sysvec_apic_timer_interrupt asm_sysvec_apic_timer_interrupt "
)
SYSCALL = " __x64_sys_write do_syscall_64 entry_SYSCALL_64_after_hwframe"
SPINNING = {
    # below a file's dispatcher
    TICK + "_copy_from_user snd_seq_write vfs_write ksys_write" + SYSCALL: "snd_seq_write",
    TICK + "vcpu_run kvm_vcpu_ioctl __se_sys_ioctl do_syscall_64": "kvm_vcpu_ioctl",
    # below the system call's own dispatcher
    TICK + "d_walk do_rmdir __x64_sys_rmdir x64_sys_call do_syscall_64": "__x64_sys_rmdir",
    # a packet, a timer, a work item, a netlink message
    TICK + "ip6_input ipv6_rcv __netif_receive_skb_one_core process_backlog": "ipv6_rcv",
    TICK + "neigh_probe neigh_timer_handler call_timer_fn __run_timers": "neigh_timer_handler",
    TICK + "array_map_free bpf_map_free_deferred process_one_work": "bpf_map_free_deferred",
    TICK + "qdisc_create tc_modify_qdisc rtnetlink_rcv_msg netlink_rcv_skb": "tc_modify_qdisc",
    # a wait for every CPU names the hang itself
    TICK + "smp_call_function_many_cond text_poke_bp_batch do_it process_one_work": (
        "smp_call_function_many_cond"
    ),
    # no interrupt in the stack: the watchdog printed the stack of the interrupted registers
    "osq_spin osq_work process_one_work worker_thread": "osq_work",
    # arm64, arm
    "dump_backtrace show_stack sched_show_task rcu_dump_cpu_stacks tick_sched_timer "
    "arch_timer_handler_virt handle_percpu_devid_irq gic_handle_irq el1_interrupt el1h_64_irq "
    "f io_sq_thread ret_from_fork": "io_sq_thread",
    "show_stack rcu_check_callbacks tick_periodic arch_timer_handler_virt gic_handle_irq "
    "__irq_svc check_zeroed_user sys_openat2 ret_fast_syscall": "sys_openat2",
    TICK: "",
    "": "",
}
SLEEPING = {
    "__schedule schedule schedule_preempt_disabled __mutex_lock mutex_lock_nested osq_open": (
        "osq_open"
    ),
    "schedule schedule_timeout __down down console_lock console_device tty_open": "console_device",
    "schedule synchronize_rcu packet_release __sock_release": "synchronize_rcu",
    "context_switch __schedule schedule io_schedule folio_wait_bit_common f": "f",
    "schedule rwsem_down_read_slowpath down_read do_exit do_group_exit": "do_exit",
    "schedule": "",
}


def frames(names: str) -> list[Frame]:
    """Return reliable frames of the kernel itself."""
    return [Frame(function=name) for name in names.split()]


def named(frame: Frame | None) -> str:
    """Return a frame's function, or "" for None."""
    return frame.function if frame is not None else ""


@pytest.mark.parametrize(("stack", "function"), SPINNING.items())
def test_spinner_returns_the_operation_in_which_a_cpu_spins(stack: str, function: str) -> None:
    """`spinner` returns the handler of a syscall, file, packet, timer or work item in a stack."""
    assert named(spinner(frames(stack))) == function


@pytest.mark.parametrize(("stack", "function"), SLEEPING.items())
def test_sleeper_returns_the_function_that_began_a_tasks_wait(stack: str, function: str) -> None:
    """`sleeper` returns the caller of schedule or of a lock in a stack, or synchronize_rcu."""
    assert named(sleeper(frames(stack))) == function


def test_spinner_returns_a_modules_function_rather_than_the_kernels_operation() -> None:
    """From a spinning CPU's stack, `spinner` prefers the innermost function of a module."""
    stack = [
        *frames(TICK),
        Frame(function="osq_ring_reserve", module="osq"),
        Frame(function="osq_ioctl", module="osq"),
        *frames("__x64_sys_ioctl do_syscall_64"),
    ]

    assert named(spinner(stack)) == "osq_ring_reserve"
