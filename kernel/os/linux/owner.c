// SPDX-License-Identifier: GPL-2.0-only
/*
 * owner.c - is the caller the process that opened the device? Is it dead?
 *
 * A close or a death calls ->flush, unless another process shares the
 * descriptor table (CLONE_FILES): then the table continues to exist, and
 * nothing is closed. So the owner's pid is watched, too, as a pidfd watches it:
 * entries in its wait queue are woken at the end of the thread group. The ends
 * of other processes cost nothing.
 */
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "osq_linux.h"

/*
 * Called with the locks of the dying task's parent held, so work is only
 * queued.
 */
static int on_death(struct wait_queue_entry *entry, unsigned int mode,
		    int flags, void *key)
{
	schedule_work(entry->private);
	return 0;
}

/*
 * osq_owner_init - make the calling process the owner.
 * @work: queued when it may have died; osq_owner_is_dead checks whether it has.
 *
 * Context: process, with memory of its own.
 */
void osq_owner_init(struct osq_owner *owner, struct work_struct *work)
{
	owner->pid = get_pid(task_tgid(current));
	mmgrab(current->mm);
	owner->mm = current->mm;
	init_waitqueue_func_entry(&owner->death, on_death);
	owner->death.private = work;
	add_wait_queue(&owner->pid->wait_pidfd, &owner->death);
}

/*
 * osq_owner_deinit - forget the owner; @work of osq_owner_init may still be
 * queued.
 */
void osq_owner_deinit(struct osq_owner *owner)
{
	remove_wait_queue(&owner->pid->wait_pidfd, &owner->death);
	put_pid(owner->pid);
	mmdrop(owner->mm);
}

/*
 * osq_owner_caller - return the caller's identity for the core: its thread
 * group's pid.
 *
 * A program that was started by exec has the pid of the one before, but not its
 * memory: then NULL is returned, which is nobody's identity.
 */
const void *osq_owner_caller(const struct osq_owner *owner)
{
	return current->mm == owner->mm ? task_tgid(current) : NULL;
}

/*
 * osq_owner_is_dead - has the owner's last thread ended? For a zombie it has.
 */
bool osq_owner_is_dead(const struct osq_owner *owner)
{
	struct task_struct *leader;
	bool dead;

	rcu_read_lock();
	leader = pid_task(owner->pid, PIDTYPE_TGID);
	dead = !leader ||
	       (READ_ONCE(leader->exit_state) && thread_group_empty(leader));
	rcu_read_unlock();
	return dead;
}
