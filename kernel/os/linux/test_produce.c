// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_produce.c - make records on demand: from tasks, soft and hard
 * interrupts, by any number of callers at once; the time of each record is
 * measured.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/log2.h>
#include <linux/rwsem.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "compat.h"
#include "osq_linux.h"
#include "osq_test.h"
#include "osq_test_build.h"

/*
 * Attempts in one run of a timer: enough to interrupt other producers in the
 * middle.
 */
#define BURST 16
#define BURST_GAP_NS 20000

struct job {
	struct osq_test_produce *order;
	struct osq_test_record *record; /* order->bytes, filled */
	struct hrtimer timer;
	struct completion done;
	u64 made; /* attempts until now */
};

/* Every producer holds it for reading; protects target. */
static DECLARE_RWSEM(gate);
static struct osq_ring *target;
static bool closing; /* producers shall come to an end */

int osq_test_start(struct osq_ring *ring, u64 options)
{
	osq_test_configure(options);
	down_write(&gate);
	target = ring;
	WRITE_ONCE(closing, false);
	up_write(&gate);
	return 0;
}

void osq_test_configure(u64 options)
{
	osq_test_hold(options & OSQ_TEST_OPT_HOLD);
	if (options & OSQ_TEST_OPT_SLOW)
		msleep(OSQ_TEST_SLOW_MS);
}

void osq_test_stop(void)
{
	osq_test_hold(false);
	WRITE_ONCE(closing, true);
	down_write(&gate);
	target = NULL;
	up_write(&gate);
}

static void fill(struct job *job)
{
	struct osq_test_record *record = job->record;
	u64 number = job->order->first + job->made++;
	bool in_task = job->order->context == OSQ_TEST_TASK;
	u8 mark = (u8)(job->order->producer + number);

	memset(record, 0, sizeof(*record));
	record->head.len = job->order->bytes;
	record->head.type = OSQ_TYPE_TEST;
	record->head.cpu = raw_smp_processor_id();
	record->head.pid = in_task ? current->tgid : 0;
	record->head.tid = in_task ? current->pid : 0;
	record->producer = job->order->producer;
	record->context = job->order->context;
	record->number = number;
	memset(record + 1, mark, job->order->bytes - sizeof(*record));
}

static void attempt(struct job *job)
{
	struct osq_test_produce *order = job->order;
	u64 began_ns, took_ns;
	int err;

	fill(job);
	preempt_disable();
	began_ns = ktime_get_mono_fast_ns();
	err = osq_ring_put(target, &job->record->head, OSQ_RANK_ANY);
	took_ns = ktime_get_mono_fast_ns() - began_ns;
	preempt_enable();
	osq_readers_after_commit(target);
	if (err)
		order->refused++;
	else
		order->committed++;
	order->took[min_t(u32, ilog2(took_ns | 1), OSQ_TEST_BUCKETS - 1)]++;
}

static bool is_over(const struct job *job)
{
	return job->made == job->order->count || READ_ONCE(closing);
}

static enum hrtimer_restart on_timer(struct hrtimer *timer)
{
	struct job *job = container_of(timer, struct job, timer);
	u64 gap_ns = job->order->gap_us * 1000ull;
	int burst = gap_ns ? 1 : BURST;

	while (burst-- && !is_over(job))
		attempt(job);
	if (is_over(job)) {
		complete(&job->done);
		return HRTIMER_NORESTART;
	}
	hrtimer_forward_now(timer, ns_to_ktime(gap_ns ?: BURST_GAP_NS));
	return HRTIMER_RESTART;
}

/* A signal ends this; attempts until then count. */
static void produce_in_interrupts(struct job *job)
{
	bool hard = job->order->context == OSQ_TEST_IRQ;

	init_completion(&job->done);
	osq_hrtimer_setup(&job->timer, on_timer,
			  hard ? HRTIMER_MODE_REL_HARD : HRTIMER_MODE_REL_SOFT);
	hrtimer_start(&job->timer, 0,
		      hard ? HRTIMER_MODE_REL_HARD : HRTIMER_MODE_REL_SOFT);
	/* complete() wakes under a raw lock, so a hard interrupt may call it. */
	wait_for_completion_killable(&job->done);
	hrtimer_cancel(&job->timer);
}

static void produce_in_task(struct job *job)
{
	u32 gap_us = job->order->gap_us;

	while (!is_over(job) && !fatal_signal_pending(current)) {
		attempt(job);
		if (gap_us)
			usleep_range(gap_us, gap_us + gap_us / 4 + 1);
		else
			cond_resched();
	}
}

/*
 * osq_test_produce - make records as ordered; the results are stored in @order.
 *
 * Context: process, may sleep.
 * Return: 0; -EINVAL for an unknown context or size; -ENXIO when OSQ_TYPE_TEST
 * is not subscribed to; -ENOMEM.
 */
long osq_test_produce(struct osq_test_produce *order)
{
	struct job job = { .order = order };
	long err = 0;

	if (order->context >= OSQ_TEST_CONTEXTS ||
	    order->bytes < sizeof(*job.record) ||
	    order->bytes > OSQ_RECORD_MAX_BYTES)
		return -EINVAL;
	order->committed = 0;
	order->refused = 0;
	memset(order->took, 0, sizeof(order->took));
	job.record = kzalloc(order->bytes, GFP_KERNEL);
	if (!job.record)
		return -ENOMEM;
	down_read(&gate);
	if (!target)
		err = -ENXIO;
	else if (order->context == OSQ_TEST_TASK)
		produce_in_task(&job);
	else
		produce_in_interrupts(&job);
	up_read(&gate);
	kfree(job.record);
	return err;
}
