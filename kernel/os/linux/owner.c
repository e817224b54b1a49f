// SPDX-License-Identifier: GPL-2.0-only
/*
 * owner.c - the process that opened the device: is this it, and is it dead?
 *
 * A close or a death comes by ->flush, unless another process shares the
 * descriptor table (CLONE_FILES): then the table lives on, and nothing is
 * closed. So the owner's pid is watched, too, as a pidfd watches it: whoever
 * is in its wait queue hears of the thread group's end. No other process's
 * end costs anything.
 */
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "osq_linux.h"

/* The dying task's parent hears of it under locks: only work is queued. */
static int on_death(struct wait_queue_entry *entry, unsigned int mode,
		    int flags, void *key)
{
	schedule_work(entry->private);
	return 0;
}

/*
 * osq_owner_init - the calling process is the owner.
 * @work: queued when it may have died; osq_owner_is_dead says whether it has.
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

/* osq_owner_deinit - forget it; @work of osq_owner_init may still be queued. */
void osq_owner_deinit(struct osq_owner *owner)
{
	remove_wait_queue(&owner->pid->wait_pidfd, &owner->death);
	put_pid(owner->pid);
	mmdrop(owner->mm);
}

/*
 * osq_owner_caller - who calls, as the core knows it: a thread group's pid.
 *
 * A program that was started by exec has the pid of the one before, but not
 * its memory: that is nobody.
 */
const void *osq_owner_caller(const struct osq_owner *owner)
{
	return current->mm == owner->mm ? task_tgid(current) : NULL;
}

/* osq_owner_is_dead - has its last thread ended? A zombie's has. */
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
