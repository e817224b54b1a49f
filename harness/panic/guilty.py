# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which function of a stack to name: the first that is not there to serve others.

A report is seldom about the function that it was found in. memcpy, a list's check, a lock, the
allocator, the sanitizer and the trap's entry are where bugs show, not where they are made; below
them stands the function that called them wrongly. The words are names of the kernel's own
subsystems, by group; each fits a name from its start up to a '_' or its end.
"""

import re
from collections.abc import Iterable

from harness.panic.values import Frame

_REPORTING = r"""
    dump_(stack|backtrace|cpu_task|trace)\w* bad_page show_(stack|regs|trace|registers) sched_show_task print_(report|address|trailer|section|circular|
    usage|unlock|lock|irq|bad|deadlock|freed|cpu|other|error|memory|modules|kernel|collision)
    warn_(slowpath|on|alloc|printk|bogus) \w*_warn_saturate panic (nmi|fortify|rust|kgdb|trusty)_panic$ die(_addr|_body|_header)?$ oops_(begin|end|enter|exit)\w* report_(bug|circular|usage)
    (start|end)_report check_panic bug_(handler|at) printk vprintk console_(unlock|flush|emit)
    unwind_(stack|next|backtrace|get|frame)\w* save_stack\w* stack_(trace|depot) arch_stack_walk nmi_\w*backtrace
    trigger_\w*cpu\w*backtrace rcu_dump spin_(dump|bug) rwlock_bug trace_ perf_trace_(?!event) ftrace_(call|caller|regs\w*|graph\w*|stub|ops\w*|trampoline) mcount
    return_to_handler k(ret)?probe_(ftrace_handler|dispatcher|trace_func|perf_func|int3_handler|handler|trampoline|rethook\w*) arch_rethook\w* do_trace bpf_trace dev_(driver_string|vprintk|printk|err|warn|info|alert|crit|emerg|notice)
    netdev_(printk|err|warn|info) dynamic_emit
"""
_TRAPPING = r"""
    (asm_)?(exc|sysvec|fred)_\w+ common_interrupt ret_from_(exception|intr) error_(entry|exit|code) page_fault
    do_(page_fault|trap|error_trap|invalid_op|general_protection|user_addr_fault|kern_addr_fault|mem_abort|
    translation_fault|undefinstr|int3|nmi|double_fault|bad|undef|DataAbort|PrefetchAbort|sea|alignment\w*|divide_error|
    machine_check|program_check|ade|ri|be|tp|IRQ|kernel_fault|trap_\w+|sp_pc_abort|slb_fault)$
    handle_(bug|stack_overflow|page_fault|irq_event|exception) fixup_(bug|exception) no_context bad_area\w*
    page_fault_oops kernelmode_fixup el[01](h|t)?_\w+ call_on_(irq_)?stack call_on_\w+ invalid_op do_one_trap early_fixup
    general_protection divide_error double_fault$ int3$ nmi$ stack_segment$ coprocessor_\w+ debug$
    (data_access|instruction_access|program_check|alignment|unknown|machine_check|altivec|vsx|single_step|fp|kernel_fp|emulation|handle_hmi|performance_monitor)\w*_exception (smp_)?(trace_)?(\w*apic_timer|reschedule|call_function\w*|spurious|thermal|error|timer|do)_interrupt\w* program_check_\w+ x86_indirect_thunk_\w+ (data_access|instruction_access)\w* (dabt|pabt|und)_(svc|usr)
    irq_svc brk_handler bug_brk_handler call_break_hook call_el1_break_hook bp_hardening die_kernel_fault
    interrupt_return native_iret bad_mode
"""
_SANITIZING = r"""
    kasan\w* check_memory_region\w* check_region_inline asan_\w+ memory_is_\w+ object_err slab_(err|bug|pad|fix)\w* check_(slab|object|bytes_and_report|poison\w*)$
    hwasan_\w+ addr_has_metadata bytes_is_nonzero
    kmsan\w* msan_\w+ kcsan\w* tsan\w+ kfence\w* ubsan\w* handle_overflow val_to_string instrument_\w+ sanitizer_\w+
    (\w+_)?quarantine\w* kmemleak\w* alloc_debug free_debug\w* debug_(check|object|smp|locks|spin|mutex|rt_mutex|print|timer|work|rcu|assert|hrtimer)\w*
    lookup_object_or_alloc \w*_is_static_object ODEBUG write_comp_data qlist_\w+ stackleak poison_(slab|page|element|obj)\w* check_poison_\w+
    unpoison_(slab|page|element|obj)\w* metadata_access\w* set_track\w* save_track$
"""
_MOVING = r"""
    mem(cpy|set|move|cmp|chr|scan|dup|zero|copy)\w* str(n?len|n?cpy|l?cat|n?cmp|scpy|chr|rchr|n?casecmp|sep|dup|nstr|str|lcpy|lcat|scpy_pad|nchr|spn|pbrk|ncat)
    sized_strscpy copy_overflow k(str|mem)dup\w* (raw_)?copy_(to|from|in)_(user|kernel|iter|mc|sockptr|bpfptr|guest)\w* copy_user_\w+ copy_mc_\w+ copy_from_kernel\w* (clear|put|get)_user(_nocheck)?(_\d|_ns|_[a-z])?$ user_(read_|write_)?access_\w+
    csum_(partial|and)\w* fortify\w* usercopy\w* check_(heap_object|object_size|stack_object|copy_size)\w* (READ|WRITE)_ONCE\w* (read|write)_once\w* (un)?pin_user_\w+ access_ok
    rep_(movs|stos)\w* iov_iter_\w+ iovec_\w+ copyin copyout copy_(page|highpage|user_highpage)$ copy_\w*_iter\w* simple_copy_to\w* bcmp crc\d\w* crc_\w+ hex_dump\w*
    (get|put)_unaligned\w* u?load_unaligned\w* bin2hex hex2bin skip_spaces
    (vs?|s)c?n?printf vs?cnprintf k?v?asprintf format_decode number$ string$ string_nocheck pointer$ hex_string seq_(printf|puts?|write|putc|put_\w+)
    (raw_)?(read|write|in|out|ioread|iowrite|readx|logic_in|logic_out)(b|w|l|q|s[bwl]|8|16|32|64)(_relaxed)? (add|set)_uevent\w*
    (aes|aesti|des|des3|blowfish|twofish|serpent|camellia|cast\d|anubis|arc4|seed|sm4|tea|xtea|khazad|fcrypt|aria|cipher|skcipher|cbc|ctr|ecb|xts|essiv|gcm|ccm|chachapoly)_?\w*(en|de)?crypt\w* aes_\w+ crypto_\w*(crypt|digest|final|finup|update|setkey|walk)\w* sha\d*_\w+ md5_\w+ chacha\w* poly1305\w* blake2\w* gf128mul_\w+ cipher_crypt\w* ghash\w* skcipher_\w+ shash_\w+
    ahash_\w+ nlmsg_put nla_put\w* jhash\w* siphash\w* prandom_\w+ get_random_\w+
"""
_COUNTING = r"""
    (arch_)?(test|set|clear|change)(_and_(set|clear|change))?_bit\w* constant_test_bit variable_test_bit const_test_bit
    find_(next|first|last)\w*bit\w* bitmap_(?!ip|port)\w+ cpumask_\w+ (arch_|raw_)?(atomic|local)(64|_long)?_\w+ xchg cmpxchg\w* try_cmpxchg\w*
    refcount_\w+ kref_\w+ percpu_(ref|counter|down|up)\w* this_cpu_\w+ ref_tracker_\w+ fetch_\w+ \w*seqprop_\w+ clear_bit_unlock\w* lockref_\w+
    css_(get|put|tryget)\w* percpu_ref_\w+
"""
_LISTING = r"""
    list_(add|del|move|splice|empty|replace|cut|is|first|entry|swap|bulk)(_(tail|valid|or|report|rcu|entry|init|prev|next|careful|sorted|before|position|last|head|singular|clear))*$ hlist_(add|del|empty|unhashed|for|first|move|nulls|bl|replace)\w* llist_\w+ plist_(add|del)\w*
    rb_(insert|erase|first|next|prev|last|link|replace|set|add|find)\w* rbtree_\w+
    (idr|ida|radix_tree|maple|mas|mt|mtree)_(load|store|find|next|prev|insert|erase|lookup|alloc|remove|descend|start|clear|get|set|for|pause|delete|
    walk|is|destroy|free|preload|tag|deref|iter|topiary|rewind|wr|wmb|split|spanning|safe|node|dup|replace|rebalance|range|leaf|data|slot|pivot|ascend|state|
    max|min|root|top|expand|commit|push|pop|rev|empty|awalk|extend|fill|update|mat|mab)\w*
    xas_\w+ xa_(load|store|find|erase|insert|alloc|get|set|clear|head|entry|is|mk|to|cmpxchg|destroy|dump|extract|limit|release|reserve|save|tag|track|untag|update|zero|for)\w* interval_tree_\w+ assoc_array_\w+ rht_\w+ rhashtable_\w+ rhltable_\w+ lru_(gen|cache|note|lazyfree|deactivate|rotate|activate)\w* kfifo_\w+ hash_(add|del|for)\w* klist_\w+
    (insert|augment)\w*_rotate
"""
_LOCKING = r"""
    (?!rtnl_|pipe_|console_|__pipe_|l2cap_|hci_)\w*(spin|read|write|raw|seq|bit|queued)_?(un|try)?lock(_(bh|irq|irqsave|irqrestore|nested|slowpath|common|interruptible|killable|flags|irq_nested))?$
    (raw_|do_raw_|native_|queued_|pv_|rt_|ww_|bit_|arch_)*(spin|read|write)_(un|try)?lock\w* (rt_|ww_)?mutex_\w+ rwsem_\w+ (call_)?rwsem_\w+ rwbase_\w+ rtlock_\w+
    down(_(read|write|interruptible|killable|trylock|timeout|common))?\w*$ up(_(read|write))?$ downgrade_write
    lock_(acquire|release|is_held|set|acquired|contended|downgrade|pin|unpin|task_sighand|sock|timer_base|hrtimer_base|acquire_\w+) lockdep_\w+ lock_\w*nested
    validate_chain check_(preemption_disabled|prev\w*|noncircular|deadlock|irq|wait|flags|lock|preempt|usage|unmap|no_locks|redundant|path)\w*
    mark_(lock|held|usage)\w* register_lock_class reacquire_held_locks (match|find)_held_lock assign_lock_key look_up_lock_class bfs\w* find_usage\w*
    percpu_rwsem\w* seqcount\w* rcu_(?!core|nocb|do_batch|gp|barrier|sync|boost|cpu_kthread|tasks)\w+ srcu_read\w* call_rcu\w* kvfree_call_rcu kfree_rcu\w* kvfree_rcu\w*
    might_(sleep|fault|resched|lock|alloc)\w* cant_sleep\w* \w*might_resched preempt_\w+ schedule(_timeout\w*|_hrtimeout\w*|_preempt_disabled|_idle|_tail|_debug|_bug|_work\w*|_delayed_work\w*|_on_each_cpu|_user)?$ io_schedule\w* dynamic_\w+_resched cond_resched\w* do_sched_yield yield$ [mu]?sleep(_range\w*|_interruptible)?$ [sf]sleep$ (do_)?nanosleep
    prepare_to_(s?wait)\w* finish_s?wait wait_(for_completion|for_common|for_owner|event|on_bit|on_page|on_buffer)\w* do_wait_for\w* wait_(consider|woken)\w* complete(_all|_on_current_cpu|_with_flags)?$ swake_up\w*
    wake_up(_(process|q|bit|state|interruptible|all|page|common|sync|var|poll|klogd|worker|lock|locked|key|nr|pollfree))*$ try_to_wake_up autoremove_wake\w* default_wake_function woken_wake\w* ttwu_\w+ pollwake
    local_bh_\w+ irq_(enter|exit|work)\w* local_irq_\w+ trace_(hard|soft)irqs\w* raw_local_irq\w* hardirqs_\w+ current_thread\w* task_pt_regs get_current
    osq_(lock|unlock|wait_next)$ optimistic_spin\w* mcs_\w+ lock_sock\w* release_sock sock_(lock|unlock|owned)\w* bh_lock_sock\w* kill_fasync\w*
    (?!rtnl_|pipe_|console_)\w*_lock(_nested|_bh|_irqsave|_irq)?$ queued_\w+ ldsem_\w+ cgroup_\w*lock
    (flush|drain|destroy)_work\w* (flush|cancel)_(work|delayed)\w* cancel_work\w* try_to_grab_pending start_flush_work raw_seqcount\w*
    synchronize_(rcu|srcu|sched|net|irq|hardirq|rcu_\w+|srcu_\w+|rcu)$ assert_(raw_)?spin\w* lockdep_assert\w*
"""
_ALLOCATING = r"""
    (k|kv|v|devm_k|sock_k|kvm_kv)(v|z|c|m|re)*(alloc|free|dup|array)\w* kmalloc\w* kmem_cache_\w+ kzalloc\w* kcalloc\w* krealloc\w* kvrealloc\w* kvmemdup\w*
    slab_\w+ cache_(alloc|free|grow)\w* mempool_\w+ v(m|z)?(alloc|free)\w* vunmap\w* remove_vm_area vm_area_(alloc|free)\w* vma_alloc_folio\w* __vma_alloc\w* alloc_(pages|page|slab|frozen|percpu|from_pool|charge|workqueue)\w*
    (get|free)_(zeroed_|frozen_|unref_|large_|the_|one_|hot_)*(free_)?(page|pages|folio|folios|pcppages|tail)\w* free_large_\w+ free_nonslab\w* page_(alloc|frag)\w* get_page_from_freelist prep_(new_)?page\w* post_alloc_hook rmqueue\w*
    new_slab\w* allocate_slab\w* discard_slab deactivate_slab unfreeze_\w+ put_cpu_partial folio_alloc\w* filemap_alloc_folio\w* devm_(k\w+|add_action\w*)
    devres_\w+ pcpu_(?!freelist)\w+ free_percpu should_fail\w* fault_create\w* fail_dump bulk_free\w* do_slab_free do_kmalloc\w* do_krealloc\w* dma_pool_\w+ dma_alloc_\w+ dma_free_\w+
    mod_(zone|node|lruvec|memcg)\w* memcg_\w+ mem_cgroup_(charge|uncharge|try|commit|cancel|from|page|migrate|get|put|id|iter|css|track|handle|throttle)\w* try_charge\w* obj_cgroup\w* lruvec_\w+ (folios?|page)_(put|get|add|lock|unlock|mark|wait|test|cache|batch|remove|free|try|ref|mapping|evictable|to|zone|nid|poison|counter|is|end|start|clear|set|wake|mapped|activate|unpoison|expected)\w* put_page\w* find_(lock|get)_\w*(entries|entry|page|pages)\w* pagecache_get_page
    filemap_(get|add|grab|lock|remove|unaccount|release|free)\w* grab_cache_page\w* truncate_inode_pages\w* delete_from_page_cache\w* add_to_page_cache\w* pagevec_\w+ release_pages
    free_pcp\w* free_pages\w* free_unref\w* page_counter\w* kmap\w* kunmap\w* vmap\w* ioremap\w* iounmap\w* set_page_\w+ clear_page(_erms|_rep|_orig)?$ clear_highpage\w* zero_user\w* virt_to_\w+ phys_addr\w* mempolicy_slab\w* alloc_skb\w* build_skb\w* skb_(clone|copy)$
    skb_(panic|over_panic|under_panic|put|push|pull|release\w*|free\w*)$ sk_mem\w* sock_(hold|put)$ sk_prot_alloc
"""
# The driver core and sysfs, on their way from a bus or an object to a driver.
_BINDING = r"""
    device_(?!add_disk)(add|attach|bind|create|del|destroy|for_each|initial|link|pm|register|release|remove|unregister|unbind|shutdown|is|move|rename)\w* (get|put)_device\w* get_device_parent cleanup_glue\w*
    driver_(attach|probe|register|sysfs|unregister|detach|bound)\w* really_probe\w* call_driver_probe bus_(add|for_each|probe|remove|rescan)\w* dpm_\w+ pm_(runtime|generic)\w* rpm_\w+ deferred_probe\w*
    (class|kset|kobj|kobject|attribute)_(get|put|init|add|uevent|cleanup|release|del|create|remove|register|unregister|find|dev|rename|move|set|name|ns|attr|kset|show|store|destroy)\w* dev_(set_name|uevent|driver_string) device_\w+_attrs?
    usb_(probe|unbind|kill|poison|free|unlink|disconnect|disable|set_conf|generic|new|start_wait|submit|control_msg|bulk_msg|interrupt_msg|hcd|deregister|internal|get_descr|hub|alloc_urb|register)\w*
    hub_(port|event)\w* (un)?register_(netdev|netdevice|chrdev|disk|framebuffer|blkdev)(?!ice_notifier|_notifier)\w* rollback_registered\w* (hwrng|led_classdev)_(un)?register\w*
    sysfs_(create|remove|warn|add|do_create|delete|rename|merge|unmerge)\w* kernfs_(add_one|activate|create\w*|remove_by\w*|new_node)(_ns)?$ component_\w+ (pci|platform|i2c|spi|hid|virtio|amba|of|mdio|serio|pnp)_((device|bus|dev|drv)_)?(probe|remove|match|uevent|shutdown|register|unregister|add|del)(_\w+)?$
    proc_(register|create|mkdir|net_mkdir|symlink|alloc)\w* remove_proc\w* debugfs_(create|remove)\w* d?put$ fast_dput iput\w* (d|dentry)_(kill|free)$ notifier_call\w* call_netdevice_\w*notif\w* (blocking|raw|atomic|srcu)_notifier\w* tty_(un)?register_device\w* remove_files netdev_next\w* cleanup_srcu_struct devm_device_\w+
    i2c_(del|register|unregister|device)\w* unregister_client
"""
_RUNNING = r"""
    queue_(delayed_)?work\w* mod_delayed_work\w* insert_work\w* process_(one|scheduled)_work\w* worker_thread kthread(_stop|_create\w*|_worker_fn|_queue\w*|_park\w*|_unpark|_should\w*|_bind\w*|_insert\w*|_run\w*)?$
    (mod|add|del|init|call|expire|try_to_del|detach|internal|enqueue)_timers?(_fn|_sync|_on|_pending|_key|_shutdown|_base|_add|_reduce)*\w*$ timer_(delete|shutdown|fixup|init|pending|reduce|base|setup)\w* hrtimer_(start|init|cancel|try|run|interrupt|forward|setup)\w* hrtimer_\w*queues (run|expire)_\w*hrtimer\w* lock_timer\w* do_init_timer
    run_(ksoftirqd|workqueue) do_softirq\w* invoke_softirq handle_softirqs tasklet_(schedule|hi_schedule|kill|action|init|unlock|disable|hi_action)\w* smpboot_\w+ cpuhp_\w+ cpu_stop\w* irqentry_\w+ irq_exit\w* ret_from_\w+
    stop_(one|two|machine)_?\w* kick_process set_\w+_from_\w+stack inline_\w+
"""
_SERVE = re.compile(
    r"^(?:arch_|native_|pv_)?(?:"
    + "|".join(
        word
        for group in (
            _REPORTING,
            _TRAPPING,
            _SANITIZING,
            _MOVING,
            _COUNTING,
            _LISTING,
            _LOCKING,
            _ALLOCATING,
            _BINDING,
            _RUNNING,
        )
        for word in re.sub(r"\|\s+", "|", group).split()
    )
    + r")(?:(?<=_)|(?=[_.\d]|$))"
)
# Too short to be looked for at the start of other names.
_EXACT = re.compile(
    r"^(?:lock|unlock|alloc|free|put|get|init|exit|warn|die|bug|load|store|entry_\w+|secondary_startup\w*|"
    r"start_kernel|x86_64_start\w*|rest_init|arch_call_rest_init|ret_fast_syscall|syscall_return|"
    r"do_syscall_\w+|do_int80\w*|do_fast_syscall\w*|system_call\w*|el0_svc\w*|invoke_syscall|x64_sys_call)$"
)
_ALLOCATES = re.compile(r"alloc|dup(?:_|$)|create_object|set_name|new_inode")
_COMPILERS = re.compile(r"\.(?:part|isra|constprop|cold|llvm|lto_priv)[.\w]*$")


def serves(function: str) -> bool:
    """Return whether a function only serves others: it is named only when nothing else is there."""
    name = stem(function)
    return _SERVE.match(name) is not None or _EXACT.match(name) is not None


def stem(function: str) -> str:
    """Return a function's bare name without the underscores that mark an inner variant of it."""
    return bare(function).lstrip("_")


def bare(function: str) -> str:
    """Return a function's name without what the compiler hung on it."""
    return _COMPILERS.sub("", function)


def choose(frames: Iterable[Frame], *, passed: re.Pattern[str] | None = None) -> Frame | None:
    """Return the frame to name: the first reliable one that serves nobody and is not `passed`."""
    for frame in frames:
        if not frame.reliable or serves(frame.function):
            continue
        if passed is not None and passed.search(stem(frame.function)):
            continue
        return frame
    return None


def choose_leaker(frames: Iterable[Frame]) -> Frame | None:
    """Return who asked for memory that nobody gave back: whatever allocates is passed over."""
    return choose(frames, passed=_ALLOCATES)
