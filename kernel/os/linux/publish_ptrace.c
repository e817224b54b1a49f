// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish_ptrace.c - a record for each process that is about to get hold of
 * another one, from probes on the hooks of security modules for that.
 *
 * The kernel asks one question before each way to another process's memory,
 * registers or descriptors: may the caller attach to it? ptrace asks it once,
 * process_vm_readv and process_vm_writev at each call, /proc/PID/mem at its
 * open. A probe there is called when the ids permit it, in the caller. Looks
 * that ask for less (ps, /proc/PID/maps) make no record, nor does a process
 * with its own threads, of which the kernel does not ask.
 *
 * The kernel holds the lock of the target's memory while it asks, since it
 * reads whether the target may be dumped; and for TRACEME, tasklist_lock.
 */
#include <linux/cred.h>
#include <linux/ptrace.h>
#include <linux/sched/signal.h>
#include <linux/user_namespace.h>

#include "compat.h"
#include "osq_encode.h"
#include "osq_probes.h"

static struct osq_ring *target_ring;
static u64 chosen; /* OSQ_PTRACE_OPT; 0: all */

static bool is_chosen(u32 action)
{
	u64 asked = READ_ONCE(chosen);

	return !asked || asked & OSQ_PTRACE_OPT(action);
}

static void put_caller(struct osq_ptrace *record)
{
	struct osq_caller caller;

	osq_caller_fill(&caller);
	record->syscall = caller.syscall;
	record->uid = caller.uid;
	record->euid = caller.euid;
	record->auid = caller.auid;
	record->session = caller.session;
}

static void put_target(struct osq_ptrace *record,
		       const struct task_struct *task)
{
	struct osq_target target;

	osq_target_fill(&target, task);
	record->target_pid = target.pid;
	record->target_tid = target.tid;
	record->target_start_boot_ns = target.start_boot_ns;
	record->target_uid = target.uid;
	record->target_euid = target.euid;
}

/* Context: the target cannot go away meanwhile. */
static void publish(u32 action, struct task_struct *target)
{
	struct osq_ptrace record;

	if (!is_chosen(action) ||
	    !osq_filter_pass_task(target_ring, OSQ_TYPE_PTRACE, current))
		return;
	osq_head_fill(&record.head, sizeof(record), OSQ_TYPE_PTRACE,
		      &record.actor);
	record.action = action;
	put_caller(&record);
	put_target(&record, target);
	if (action == OSQ_PTRACE_TRACEME) {
		record.target_dev = record.actor.parent_dev;
		record.target_ino = record.actor.parent_ino;
	} else if (osq_is_protected(&target->alloc_lock)) {
		osq_program_of_locked(target, &record.target_dev,
				      &record.target_ino);
		/* Of a parent that is the target, the lock was not to be had. */
		if (record.head.ppid == target->tgid) {
			record.actor.parent_dev = record.target_dev;
			record.actor.parent_ino = record.target_ino;
		}
	}
	osq_publish(target_ring, &record.head, osq_rank_of_caller());
}

static int on_access(struct kprobe *probe, struct pt_regs *regs)
{
	unsigned int mode = osq_argument(regs, 1);

	if (mode & PTRACE_MODE_ATTACH)
		publish(OSQ_PTRACE_ACCESS, (void *)osq_argument(regs, 0));
	return 0;
}

static int on_traceme(struct kprobe *probe, struct pt_regs *regs)
{
	publish(OSQ_PTRACE_TRACEME, (void *)osq_argument(regs, 0));
	return 0;
}

static struct osq_probe probes[] = {
	{ .symbol = "security_ptrace_access_check", .handler = on_access },
	{ .symbol = "security_ptrace_traceme", .handler = on_traceme },
};

/* osq_publish_ptrace_probe - see struct osq_publisher. */
bool osq_publish_ptrace_probe(void)
{
	return IS_ENABLED(CONFIG_SECURITY) &&
	       osq_probes_exist(probes, ARRAY_SIZE(probes));
}

/*
 * osq_publish_ptrace_start - see struct osq_publisher.
 *
 * Return: 0; -EOPNOTSUPP where there are no such hooks; as osq_probes_start.
 */
int osq_publish_ptrace_start(struct osq_ring *ring, u64 options)
{
	if (!osq_publish_ptrace_probe())
		return -EOPNOTSUPP;
	target_ring = ring;
	osq_publish_ptrace_configure(options);
	return osq_probes_start(probes, ARRAY_SIZE(probes));
}

/* osq_publish_ptrace_configure - see struct osq_publisher. */
void osq_publish_ptrace_configure(u64 options)
{
	WRITE_ONCE(chosen, options);
}

/* osq_publish_ptrace_stop - see struct osq_publisher. */
void osq_publish_ptrace_stop(void)
{
	osq_probes_stop(probes, ARRAY_SIZE(probes));
}

/* osq_publish_ptrace_missed - see struct osq_publisher. */
u64 osq_publish_ptrace_missed(void)
{
	return osq_probes_missed(probes, ARRAY_SIZE(probes));
}
