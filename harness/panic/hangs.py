# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Whom to name for a hang: the one who waits, or the operation that does not come to an end.

A task that sleeps for ever stands still: the function that went into the wait is named. A CPU
that does not come back is sampled at any place of a loop: two reports of one hang agree only on
the operation that was begun. It is found below a dispatcher, which calls through a pointer or a
table: the system call's, the file's, a packet's, a timer's, the work's. A module's own function
is named before that: whoever looks at a module wants to be led into it.
"""

import re
from collections.abc import Sequence

from harness.panic import guilty
from harness.panic.values import Frame

_SLEEPS = frozenset({"hung-task"})
_SPINS = frozenset({"soft-lockup", "hard-lockup", "rcu-stall"})

# What merely leads to a wait; the function that got into it is below.
_WAITS = re.compile(
    r"^(?:schedule|io_schedule|context_switch|switch_to|wait_|do_wait|rwsem|call_rwsem|mutex|down|rt_mutex|"
    r"percpu_rwsem|percpu_down|lock_page|folio_(?:lock|wait)|bit_wait|out_of_line_wait|exp_funnel|msleep|usleep|"
    r"kthread_stop|console_lock$|rcu_barrier|flush_work|flush_workqueue|cancel_work|jbd2_log_wait|get_request|"
    r"rwbase|refrigerator|try_to_freeze|down_)"
)
# Waiting for a grace period or for every CPU is the finding: it is not this caller's fault.
_FOR_ALL = re.compile(
    r"^(?:synchronize_(?:s?rcu|sched|net)(?:_\w+)?$|smp_call_function\w*$|rtnl_lock(?:_killable)?$)"
)
_TICKING = re.compile(
    r"^(?:dump_|print_context|show_|nmi_|trigger_|arch_trigger|rcu_|print_cpu|print_other|check_cpu_stall|update_process|"
    r"tick_|hrtimer_|run_hrtimer|watchdog_|panic|sched_show|lapic|local_apic|apic|smp_|sysvec|xen_|hv_|"
    r"arch_timer|handle_percpu|generic_handle|handle_domain|handle_irq|gic_|do_handle|unwind_|dump_backtrace|"
    r"timer_interrupt|event_handler|call_on|asm_call|do_interrupt|el1_|irqentry|profile_|account_|scheduler_)"
)
_INTERRUPT = re.compile(
    r"^(?:(?:smp_)?(?:\w*apic_timer|reschedule|call_function\w*)_interrupt\w*$|asm_sysvec_\w+|(?:asm_)?common_interrupt|ret_from_intr|"
    r"el1h?_(?:64_)?irq$|irq_svc$|end_repeat_nmi|asm_exc_nmi|retint_\w+|decrementer_common\w*|"
    r"hardware_interrupt_common\w*|timer_interrupt$|ext_int_handler|io_int_handler|ret_from_exception|handle_int$)"
)
_DISPATCH = re.compile(
    r"^(?:"
    # system calls, and the kernel's own threads
    r"do_syscall_\w+|do_int80\w*|do_fast_syscall\w*|entry_(?:SYSCALL|SYSENTER|INT80)\w*|x64_sys_call|ia32_sys_call|"
    r"invoke_syscall|el0_svc\w*|do_el0_svc|system_call\w*|ret_fast_syscall|syscall_call|sysenter_\w+|"
    r"process_one_work|process_scheduled_works|worker_thread|kthread|kthread_worker_fn|ret_from_\w+|smpboot_thread_fn|"
    # files
    r"vfs_(?:read|readv|write|writev|ioctl|fsync\w*|open|splice_read|iter_\w+)|new_sync_(?:read|write)|call_(?:read|write)_iter|"
    r"do_(?:iter_read|iter_write|iter_readv_writev|loop_readv_writev|vfs_ioctl|dentry_open|splice_from|splice_to|splice_read|splice_write)|(?:ksys|compat_ksys)_ioctl|"
    r"(?:\w+_)?(?:sys|SyS|SYSC)_ioctl|fput|fput_sync|do_fault|do_read_fault|do_shared_fault|do_cow_fault|call_mmap|do_select|do_poll|do_sys_poll|"
    # sockets and packets
    r"sock_(?:sendmsg\w*|recvmsg\w*|ioctl|do_ioctl|release)|sys_(?:sendmsg|sendto|setsockopt|getsockopt|connect|bind|accept4?)|do_sock_(?:set|get)sockopt|"
    r"netif_receive_skb\w*|deliver_skb|napi_poll|net_rx_action|genl_(?:family_)?rcv_msg\w*|genl_lock_dumpit|genl_dumpit|netlink_dump|"
    r"nfnetlink_rcv_msg|rtnetlink_rcv_msg|rtnl_dumpit|xfrm_user_rcv_msg|sock_diag_rcv_msg|nfnetlink_rcv|"
    # time, interrupts and what is put off
    r"call_timer_fn|expire_timers|run_timers?|run_timer_\w+|run_hrtimer|hrtimer_run_queues|do_softirq|handle_softirqs|"
    r"tasklet_action\w*|rcu_do_batch|handle_irq_event_percpu|cpu_stopper_thread|cpu_startup_entry|task_work_run)$"
)
# Between a dispatcher and the operation: they only choose by family or word size.
_WRAPS = re.compile(
    r"^(?:sock_common_|compat_|do_sys_|se_|arm64_|security_|sock_no_)|^proxy_|^full_proxy|^proc_reg_"
)


def sleeps(kind: str) -> bool:
    """Return whether a kind of report is about a task that waits."""
    return kind in _SLEEPS


def spins(kind: str) -> bool:
    """Return whether a kind of report is about a CPU that does not come back."""
    return kind in _SPINS


def sleeper(frames: Sequence[Frame]) -> Frame | None:
    """Return who went into the wait that does not end."""
    sure = [frame for frame in frames if frame.reliable]
    for frame in sure:
        if _FOR_ALL.match(guilty.stem(frame.function)):
            return frame
        if not (_WAITS.match(guilty.stem(frame.function)) or guilty.serves(frame.function)):
            return frame
    return None


def spinner(frames: Sequence[Frame]) -> Frame | None:
    """Return the operation in which a CPU has been for too long."""
    sure = _interrupted([frame for frame in frames if frame.reliable])
    end = _first_dispatcher(sure)
    inside = sure[:end]
    for_all = next((one for one in inside if _FOR_ALL.match(guilty.stem(one.function))), None)
    if for_all is not None:
        return for_all
    own = guilty.choose([frame for frame in inside if frame.module])
    if own is not None:
        return own
    chosen = next((one for one in reversed(inside) if _operates(one.function)), None)
    return chosen or guilty.choose(sure, passed=_WAITS)


def _operates(function: str) -> bool:
    name = guilty.stem(function)
    return not (_WRAPS.match(name) or _DISPATCH.match(name) or guilty.serves(name))


def _interrupted(frames: Sequence[Frame]) -> Sequence[Frame]:
    """Return the stack from what the watchdog's interrupt interrupted."""
    entered = 0
    for index, frame in enumerate(frames):
        name = guilty.stem(frame.function)
        if _INTERRUPT.match(name):
            entered = index + 1
        elif entered or not (_TICKING.match(name) or guilty.serves(name)):
            break
    return frames[entered:]


def _first_dispatcher(frames: Sequence[Frame]) -> int:
    """Return the index of the innermost dispatcher that has an operation above it."""
    for index, frame in enumerate(frames):
        if not _DISPATCH.match(guilty.stem(frame.function)):
            continue
        if any(_operates(one.function) for one in frames[:index]):
            return index
    return len(frames)
