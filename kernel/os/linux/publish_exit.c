// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish_exit.c - a record for every thread that ends, from the
 * sched_process_exit tracepoint.
 *
 * The tracepoint fires in the thread itself.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/tracepoint.h>

#include "compat.h"
#include "osq_linux.h"

static struct osq_ring *target;
static struct tracepoint *hook;
static u64 chosen; /* OSQ_EXIT_* */

/*
 * What wait(2) gives: the number that ended all threads at once; or else that of
 * the last thread, which newer kernels (6.1, not 5.10) have put there, too; or
 * else that of the first thread.
 */
static u32 process_status(const struct task_struct *task)
{
	const struct signal_struct *all = task->signal;

	if (READ_ONCE(all->flags) & SIGNAL_GROUP_EXIT)
		return all->group_exit_code;
	return task->group_leader->exit_code;
}

static void publish(struct task_struct *task, bool last)
{
	struct osq_exit record;

	if (READ_ONCE(chosen) & OSQ_EXIT_PROCESSES && !last) {
		osq_ring_filtered(target, OSQ_TYPE_EXIT);
		return;
	}
	if (!osq_filter_pass_task(target, OSQ_TYPE_EXIT, task))
		return;
	osq_head_fill(&record.head, sizeof(record), OSQ_TYPE_EXIT,
		      &record.actor);
	record.last = last;
	record.status = last ? process_status(task) : task->exit_code;
	/* The kernel has taken the last measure before its hook. */
	if (last)
		record.max_rss_bytes = (u64)READ_ONCE(task->signal->maxrss)
				       << PAGE_SHIFT;
	osq_publish(target, &record.head, osq_rank_of_caller());
}

OSQ_EXIT_PROBE(on_exit, publish)

/* osq_publish_exit_probe - see struct osq_publisher. */
bool osq_publish_exit_probe(void)
{
	return osq_tracepoint_find("sched_process_exit");
}

/*
 * osq_publish_exit_start - see struct osq_publisher.
 *
 * Return: 0; -ENOMEM; -EOPNOTSUPP on a kernel without the tracepoint.
 */
int osq_publish_exit_start(struct osq_ring *ring, u64 options)
{
	int err;

	hook = osq_tracepoint_find("sched_process_exit");
	if (!hook)
		return -EOPNOTSUPP;
	err = osq_programs_open();
	if (err)
		return err;
	target = ring;
	osq_publish_exit_configure(options);
	err = tracepoint_probe_register(hook, on_exit, NULL);
	if (err)
		osq_programs_close();
	return err;
}

/* osq_publish_exit_configure - see struct osq_publisher. */
void osq_publish_exit_configure(u64 options)
{
	WRITE_ONCE(chosen, options);
}

/* osq_publish_exit_stop - see struct osq_publisher. */
void osq_publish_exit_stop(void)
{
	tracepoint_probe_unregister(hook, on_exit, NULL);
	tracepoint_synchronize_unregister();
	osq_programs_close();
}
