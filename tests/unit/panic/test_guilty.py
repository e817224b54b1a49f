# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of guilty: service functions are passed over when the guilty function is chosen."""

import re

import pytest

from harness.panic.guilty import bare, choose, choose_leaker, serves
from harness.panic.values import Frame

SERVING = """
dump_stack dump_stack_lvl show_regs print_report kasan_report __asan_load8
__asan_report_store8_noabort check_memory_region kasan_check_range memcpy __memcpy memmove
strlen strscpy _copy_from_user copy_user_generic_unrolled __list_add_valid
__list_del_entry_valid_or_report hlist_add_head_rcu rb_erase refcount_warn_saturate kref_put
_raw_spin_lock_irqsave do_raw_spin_lock native_queued_spin_lock_slowpath mutex_lock_nested
__mutex_lock down_write rwsem_down_read_slowpath lock_acquire __lock_acquire
lockdep_rcu_suspicious osq_lock osq_unlock kmalloc __kmalloc kmem_cache_alloc_node kfree
kvfree vfree __alloc_pages alloc_pages_mpol slab_free ___slab_alloc should_fail_alloc_page
warn_slowpath_fmt __warn report_bug handle_bug exc_invalid_op asm_exc_invalid_op
asm_exc_page_fault exc_page_fault page_fault_oops do_user_addr_fault bad_area_nosemaphore
asm_sysvec_apic_timer_interrupt el1h_64_sync el1_abort do_mem_abort __do_kernel_fault
die_kernel_fault schedule __schedule schedule_timeout io_schedule wait_for_completion
try_to_wake_up __wake_up_common vsnprintf number seq_printf kobject_add_internal
sysfs_create_dir_ns device_add really_probe usb_submit_urb process_one_work worker_thread
kthread ret_from_fork debug_object_activate __debug_object_init do_syscall_64
entry_SYSCALL_64_after_hwframe el0_svc invoke_syscall ret_fast_syscall
__sanitizer_cov_trace_pc __msan_warning kmsan_report kcsan_report check_heap_object
usercopy_abort __fortify_panic fortify_panic __might_sleep __might_resched preempt_count_add
xas_load xa_find idr_alloc_u32 rcu_read_lock call_rcu synchronize_rcu
vpanic arm64_serror_panic nmi_panic __stack_chk_fail mark_irqflags kmalloc_node_noprof
__kmalloc_node_track_caller_noprof arch_test_bit _raw_read_unlock_irqrestore
"""
WORKING = """
osq_ring_reserve osq_ring_commit osq_ioctl osq_crash_null osq_lock_ring osq_test_crash
osq_device_open ext4_file_write_iter kvm_vcpu_ioctl tcp_sendmsg snd_seq_write
sctp_wait_for_sndbuf __dev_remove_pack remove_wait_queue run_timer_softirq wake_up_new_task
rtnl_lock pipe_lock console_lock input_event video_unregister_device
snd_timer_user_interrupt ip6t_do_table fib6_walk path_openat do_exit n_tty_read bpf_prog_run
nft_do_chain io_uring_enter rcu_core synchronize_sched_expedited_cpu_stop
assert_slb_presence print_vma_addr trees_count report_event memory_bm_next_pfn panel_enable
stringify_ops numbering listen_backlog lockup_detector_init mutual_auth
kmalloc_oob_right kmalloc_uaf kmem_cache_oob vmalloc_oob krealloc_more_oob kasan_strings
rtw_alloc_network mydrv_die writeback_sb_inodes get_user_pages iterate_fd osq_crash_panic
"""


@pytest.mark.parametrize("name", re.findall(r"\w+", SERVING))
def test_serves_is_true_for_service_functions_of_the_kernel_such_as_memcpy(name: str) -> None:
    """`serves` is True for functions in functions.txt; their callers are blamed in their place."""
    assert serves(name)


@pytest.mark.parametrize("name", re.findall(r"\w+", WORKING))
def test_serves_is_false_for_functions_of_drivers_and_names_that_resemble_service_functions(
    name: str,
) -> None:
    """`serves` is False for functions that may be blamed, though their names look similar."""
    assert not serves(name)


def test_bare_removes_compiler_suffixes_such_as_cold_from_a_function_name_and_keeps_others() -> (
    None
):
    """`bare` removes the compiler's suffixes, such as '.part.0' and '.cold', and no others."""
    assert bare("f.part.0.isra.3") == "f"
    assert bare("f.cold") == "f"
    assert bare("f.llvm.1234") == "f"
    assert bare("f.rodata") == "f.rodata"
    assert serves("__kmalloc_node.constprop.0")


def frames(*names: str) -> list[Frame]:
    """Return reliable frames; a leading ? makes a frame unreliable."""
    return [Frame(function=name.lstrip("?"), reliable=not name.startswith("?")) for name in names]


def named(frame: Frame | None) -> str:
    """Return a frame's function, or "" for None."""
    return frame.function if frame is not None else ""


def test_choose_returns_the_innermost_guilty_frame() -> None:
    """`choose` skips helpers such as memcpy and frames marked '?'; it may return None."""
    assert named(choose(frames("memcpy", "?left_over", "osq_ring_reserve", "osq_ioctl"))) == (
        "osq_ring_reserve"
    )
    assert choose(frames("memcpy", "?left_over")) is None
    assert choose([]) is None


def test_choose_leaker_returns_the_caller_of_the_allocator() -> None:
    """`choose_leaker` passes over allocation functions and returns their caller."""
    stack = frames("kmem_cache_alloc", "alloc_inode", "new_inode_pseudo", "osq_device_open")

    assert named(choose_leaker(stack)) == "osq_device_open"
