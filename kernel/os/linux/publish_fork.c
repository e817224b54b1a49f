// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish_fork.c - a record for every new process and thread, from the
 * sched_process_fork tracepoint.
 *
 * The tracepoint fires in the parent, before the child runs for the first time.
 */
#include <linux/sched/signal.h>
#include <linux/tracepoint.h>

#include "osq_linux.h"

static struct osq_ring *target;
static struct tracepoint *hook;
static u64 chosen; /* OSQ_FORK_* */

static void on_fork(void *data, struct task_struct *parent,
		    struct task_struct *child)
{
	struct osq_fork record;

	if (READ_ONCE(chosen) & OSQ_FORK_PROCESSES &&
	    child->tgid == parent->tgid) {
		osq_ring_filtered(target, OSQ_TYPE_FORK);
		return;
	}
	if (!osq_filter_pass_task(target, OSQ_TYPE_FORK, child))
		return;
	osq_head_fill(&record.head, sizeof(record), OSQ_TYPE_FORK,
		      &record.actor);
	record.child_pid = child->tgid;
	record.child_tid = child->pid;
	record.child_start_boot_ns = child->start_boottime;
	osq_publish(target, &record.head, osq_rank_of_caller());
}

/* osq_publish_fork_probe - see struct osq_publisher. */
bool osq_publish_fork_probe(void)
{
	return osq_tracepoint_find("sched_process_fork");
}

/*
 * osq_publish_fork_start - see struct osq_publisher.
 *
 * Return: 0; -EOPNOTSUPP on a kernel without the tracepoint.
 */
int osq_publish_fork_start(struct osq_ring *ring, u64 options)
{
	hook = osq_tracepoint_find("sched_process_fork");
	if (!hook)
		return -EOPNOTSUPP;
	target = ring;
	osq_publish_fork_configure(options);
	return tracepoint_probe_register(hook, on_fork, NULL);
}

/* osq_publish_fork_configure - see struct osq_publisher. */
void osq_publish_fork_configure(u64 options)
{
	WRITE_ONCE(chosen, options);
}

/* osq_publish_fork_stop - see struct osq_publisher. */
void osq_publish_fork_stop(void)
{
	tracepoint_probe_unregister(hook, on_fork, NULL);
	tracepoint_synchronize_unregister();
}
