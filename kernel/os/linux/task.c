// SPDX-License-Identifier: GPL-2.0-only
/* task.c - functions of all publishers of processes: hooks by name, ids. */
#include <linux/cred.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <linux/uidgid.h>

#include "osq_linux.h"
#include "osq_test_build.h"

struct search {
	const char *name;
	struct tracepoint *found;
};

static void look(struct tracepoint *tracepoint, void *data)
{
	struct search *search = data;

	if (!strcmp(tracepoint->name, search->name))
		search->found = tracepoint;
}

struct tracepoint *osq_tracepoint_find(const char *name)
{
	struct search search = { .name = name };

	if (osq_test_hides(name))
		return NULL;
	for_each_kernel_tracepoint(look, &search);
	return search.found;
}

/* Context: a process; nothing sleeps. */
void osq_head_fill(struct osq_record *head, u32 len, u16 type,
		   struct osq_actor *actor)
{
	struct task_struct *parent;

	memset(head, 0, len);
	head->len = len;
	head->type = type;
	if (current->flags & PF_EXITING && type != OSQ_TYPE_EXIT)
		head->flags = OSQ_FLAG_EXITING;
	head->cpu = raw_smp_processor_id();
	head->pid = current->tgid;
	head->tid = current->pid;
	head->start_boot_ns = current->group_leader->start_boottime;
	rcu_read_lock();
	parent = rcu_dereference(current->real_parent);
	head->ppid = parent->tgid;
	head->parent_start_boot_ns =
		READ_ONCE(parent->group_leader)->start_boottime;
	osq_programs_fill(actor, parent);
	rcu_read_unlock();
}

/* A program that is root by its file alone is a user's, who may start many. */
enum osq_rank osq_rank_of(kuid_t uid, kuid_t euid)
{
	if (uid_eq(uid, GLOBAL_ROOT_UID))
		return OSQ_RANK_ROOT;
	return uid_eq(euid, GLOBAL_ROOT_UID) ? OSQ_RANK_CRED : OSQ_RANK_ANY;
}

/*
 * The ids are the process's own: overlayfs takes those of who mounted it for a
 * moment. A thread of the kernel closes any user's files.
 */
enum osq_rank osq_rank_of_caller(void)
{
	const struct cred *cred = current_real_cred();

	if (current->flags & PF_KTHREAD)
		return OSQ_RANK_ANY;
	return osq_rank_of(cred->uid, cred->euid);
}

void osq_publish(struct osq_ring *ring, struct osq_record *record,
		 enum osq_rank rank)
{
	/*
	 * Preemption is off between reserve and commit; from 7.0 on tracepoints
	 * no longer do this.
	 */
	preempt_disable();
	osq_ring_put(ring, record, rank);
	preempt_enable();
	osq_readers_after_commit(ring);
}

void osq_publish_nothing(struct osq_ring *ring, u16 type, enum osq_drop reason)
{
	osq_ring_drop(ring, type, reason, 1);
	osq_readers_after_commit(ring);
}
