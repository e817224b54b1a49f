/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * compat.h - all differences between kernels, which no other file knows.
 *
 * OSQ_HAVE_* come from Kbuild, which asks the headers.
 */
#ifndef OSQ_COMPAT_H
#define OSQ_COMPAT_H

#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/fsnotify_backend.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/ns_common.h>
#include <linux/preempt.h>
#include <linux/proc_ns.h>
#include <linux/ptrace.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>

#ifndef __LITTLE_ENDIAN
#error "records are little-endian, and written as they lie in memory"
#endif

/*
 * Before 5.11 the kernel marks a page that is charged to a control group as one
 * of its own, and maps no such page into a process.
 */
#ifdef PG_kmemcg
#define OSQ_GFP_MAPPED GFP_KERNEL
#else
#define OSQ_GFP_MAPPED GFP_KERNEL_ACCOUNT
#endif

/* Before 6.0 there is no taint of its own for tests. */
#ifdef TAINT_TEST
#define OSQ_TAINT_TEST TAINT_TEST
#else
#define OSQ_TAINT_TEST TAINT_USER
#endif

/*
 * Accessors exist for the change time since 6.6, for the other times since 6.7.
 */
static inline struct timespec64 osq_inode_atime(const struct inode *inode)
{
#ifdef OSQ_HAVE_INODE_GET_ATIME
	return inode_get_atime(inode);
#else
	return inode->i_atime;
#endif
}

static inline struct timespec64 osq_inode_mtime(const struct inode *inode)
{
#ifdef OSQ_HAVE_INODE_GET_ATIME
	return inode_get_mtime(inode);
#else
	return inode->i_mtime;
#endif
}

static inline struct timespec64 osq_inode_ctime(const struct inode *inode)
{
#ifdef OSQ_HAVE_INODE_GET_CTIME
	return inode_get_ctime(inode);
#else
	return inode->i_ctime;
#endif
}

/* Since 6.3 vm_flags is written through accessors only. */
static inline void osq_vm_flags(struct vm_area_struct *vma, vm_flags_t set,
				vm_flags_t clear)
{
#ifdef OSQ_HAVE_VM_FLAGS_SET
	vm_flags_mod(vma, set, clear);
#else
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
#endif
}

/*
 * Return the working directory, without a reference: the caller is in an RCU
 * reader and stays in it as long as it uses the answer. Since 6.19 the sequence
 * counter is in the lock.
 */
static inline struct path osq_fs_pwd(struct fs_struct *fs)
{
	struct path pwd;
	unsigned int seq;

	do {
#ifdef OSQ_HAVE_FS_SEQLOCK
		seq = read_seqbegin(&fs->seq);
		pwd = fs->pwd;
	} while (read_seqretry(&fs->seq, seq));
#else
		seq = read_seqcount_begin(&fs->seq);
		pwd = fs->pwd;
	} while (read_seqcount_retry(&fs->seq, seq));
#endif
	return pwd;
}

/*
 * osq_encode_begin, osq_encode_end - call these around the encoding of a record
 * in a buffer of this CPU, and around calls that take the locks of paths.
 *
 * Without PREEMPT_RT they switch preemption off, so that no other task can use
 * the buffer. In a probe it is off already before 7.0, and no longer from then
 * on.
 *
 * With PREEMPT_RT the locks of paths sleep when they are contended, which a
 * probe must not do with preemption off. There the probe's section is replaced
 * by one of preemptible RCU, which may block on such locks. The probes' callers
 * wait for RCU, too, before they free anything
 * (tracepoint_synchronize_unregister), and the one section begins before the
 * other ends, so nothing that the probe uses can be freed. From 7.0 on probes
 * are preemptible, and nothing has to be replaced.
 */
static inline bool osq_encode_begin(void)
{
	bool traded = IS_ENABLED(CONFIG_PREEMPT_RT) && !irqs_disabled() &&
		      preempt_count() == PREEMPT_OFFSET;

	rcu_read_lock();
	if (traded)
		preempt_enable();
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_disable();
	return traded;
}

static inline void osq_encode_end(bool traded)
{
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_enable();
	if (traded)
		preempt_disable();
	rcu_read_unlock();
}

/*
 * OSQ_EXIT_PROBE - define @probe of sched_process_exit; it calls
 * @publish(task, last). last is true when the process ends with this thread:
 * since 6.16 the tracepoint reports that itself; before, the count of living
 * threads shows it.
 */
#ifdef OSQ_HAVE_EXIT_GROUP_DEAD
#define OSQ_EXIT_PROBE(probe, publish)                          \
	static void probe(void *data, struct task_struct *task, \
			  bool group_dead)                      \
	{                                                       \
		publish(task, group_dead);                      \
	}
#else
#define OSQ_EXIT_PROBE(probe, publish)                                \
	static void probe(void *data, struct task_struct *task)       \
	{                                                             \
		publish(task, atomic_read(&task->signal->live) == 0); \
	}
#endif

/*
 * OSQ_CALL - the function of a system call, and OSQ_CALL_32 that of 32-bit
 * programs, where it is another one.
 */
#if defined(CONFIG_X86_64)
#define OSQ_CALL(name) "__x64_sys_" name
#define OSQ_CALL_32(name) "__ia32_sys_" name
#elif defined(CONFIG_ARM64)
#define OSQ_CALL(name) "__arm64_sys_" name
#else
#define OSQ_CALL(name) "sys_" name
#endif

/* Since 6.4 a module has more parts; only those that stay after init count. */
static inline u64 osq_module_core_bytes(const struct module *module)
{
#ifdef OSQ_HAVE_MODULE_MEMORY
	u64 bytes = 0;

	for_class_mod_mem_type(type, core) bytes += module->mem[type].size;
	return bytes;
#else
	return module->core_layout.size;
#endif
}

/* Return NULL on a kernel that does not keep them; 7.3 does not. */
static inline const char *osq_module_args(const struct module *module)
{
#ifdef OSQ_HAVE_MODULE_ARGS
	return module->args;
#else
	return NULL;
#endif
}

/* Since 6.3 a set of capabilities is a single number. */
static inline u64 osq_cap_bits(kernel_cap_t set)
{
#ifdef OSQ_HAVE_CAP_VAL
	return set.val;
#else
	return (u64)set.cap[1] << 32 | set.cap[0];
#endif
}

/*
 * OSQ_CRED_ACTION - is the calling thread in an exec? Kernels without a mark
 * for it cannot tell.
 */
#ifdef OSQ_HAVE_IN_EXECVE
#define OSQ_CRED_ACTION (current->in_execve ? OSQ_CRED_EXEC : OSQ_CRED_CALL)
#else
#define OSQ_CRED_ACTION OSQ_CRED_EITHER
#endif

/*
 * Is this the ns_common of a mount namespace? Since 6.18 it names its
 * type itself; before, it has the operations that every mount namespace has. No
 * field is trusted, because the structure at this place may be another one.
 */
static inline bool osq_ns_is_mnt(const struct ns_common *ns)
{
#ifdef OSQ_HAVE_NS_TYPE
	u32 type;

	return !get_kernel_nofault(type, &ns->ns_type) && type == CLONE_NEWNS;
#else
	const struct proc_ns_operations *ops;
	int type;

	return !get_kernel_nofault(ops, &ns->ops) && ops &&
	       !get_kernel_nofault(type, &ops->type) && type == CLONE_NEWNS;
#endif
}

/* Since 7.0 the list of an inode's names is in another field of a dentry. */
#ifdef OSQ_HAVE_FOR_EACH_ALIAS
#define osq_for_each_alias(dentry, inode) for_each_alias(dentry, inode)
#else
#define osq_for_each_alias(dentry, inode) \
	hlist_for_each_entry(dentry, &(inode)->i_dentry, d_u.d_alias)
#endif

/*
 * Before 5.11 an instance points to its kretprobe directly. Without kprobes
 * there is none, and nothing that uses this is called.
 */
#ifndef CONFIG_KPROBES
#define osq_kretprobe_of(instance) ((struct kretprobe *)NULL)
#elif defined(OSQ_HAVE_GET_KRETPROBE)
#define osq_kretprobe_of(instance) get_kretprobe(instance)
#else
#define osq_kretprobe_of(instance) ((instance)->rp)
#endif

/*
 * Can what @lock protects be read? Without SMP no lock knows whether it is
 * held, but nobody else runs as long as preemption is off.
 * Context: preemption is off.
 */
static inline bool osq_is_protected(spinlock_t *lock)
{
	return !IS_ENABLED(CONFIG_SMP) || spin_is_locked(lock);
}

/*
 * Can a probe at a function read the function's arguments? Not every
 * architecture can, and not every kernel has probes.
 */
static inline bool osq_probes_have_arguments(void)
{
	return IS_ENABLED(CONFIG_KPROBES) &&
	       IS_ENABLED(CONFIG_HAVE_FUNCTION_ARG_ACCESS_API);
}

/* An argument of a probed function; only where osq_probes_have_arguments. */
static inline unsigned long osq_argument(struct pt_regs *regs, unsigned int n)
{
#ifdef CONFIG_HAVE_FUNCTION_ARG_ACCESS_API
	return regs_get_kernel_argument(regs, n);
#else
	return 0;
#endif
}

#ifdef OSQ_HAVE_FSNOTIFY
/* Since 5.19 a group has flags; it needs none of them. */
static inline struct fsnotify_group *
osq_fsnotify_alloc_group(const struct fsnotify_ops *ops)
{
#ifdef OSQ_HAVE_GROUP_FLAGS
	return fsnotify_alloc_group(ops, 0);
#else
	return fsnotify_alloc_group(ops);
#endif
}

/*
 * Since 6.8 a mark is attached without the number of its file system, and since
 * 6.10 to an object, not to the object's list.
 */
static inline int osq_fsnotify_add_sb_mark(struct fsnotify_mark *mark,
					   struct super_block *sb)
{
#ifdef OSQ_HAVE_MARK_FSID
	return fsnotify_add_mark(mark, &sb->s_fsnotify_marks,
				 FSNOTIFY_OBJ_TYPE_SB, 0, NULL);
#elif defined(OSQ_HAVE_SB_FSNOTIFY_MARKS)
	return fsnotify_add_mark(mark, &sb->s_fsnotify_marks,
				 FSNOTIFY_OBJ_TYPE_SB, 0);
#else
	return fsnotify_add_mark(mark, sb, FSNOTIFY_OBJ_TYPE_SB, 0);
#endif
}
#endif /* OSQ_HAVE_FSNOTIFY */

/* Since 6.17 the queue of schedule_work has another name. */
#ifdef OSQ_HAVE_PERCPU_WQ
#define osq_wq system_percpu_wq
#else
#define osq_wq system_wq
#endif

/* Since 6.13 timers are set up with their function; 6.15 has no other way. */
static inline void
osq_hrtimer_setup(struct hrtimer *timer,
		  enum hrtimer_restart (*function)(struct hrtimer *),
		  enum hrtimer_mode mode)
{
#ifdef OSQ_HAVE_HRTIMER_SETUP
	hrtimer_setup(timer, function, CLOCK_MONOTONIC, mode);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, mode);
	timer->function = function;
#endif
}

#endif
