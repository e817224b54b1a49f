// SPDX-License-Identifier: GPL-2.0
/*
 * test_crash.c - break the kernel in each of the ways that a harness must
 * notice, name and survive. Every way is a function of its own, so that its
 * name is in the backtrace.
 */
#include <linux/bug.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "compat.h"
#include "osq_test.h"
#include "osq_test_build.h"

/* Longer than any watchdog waits, and then over, if nobody has looked. */
#define LOCKUP_S 120
#define BLOCK_BYTES 192
#define POISON 0x6b

struct node {
	struct node *next;
	u8 bytes[BLOCK_BYTES - sizeof(struct node *)];
};

static noinline void osq_crash_null(void)
{
	WRITE_ONCE(*(volatile int *)NULL, 1);
}

/* The freed block is somebody else's by then, filled with what slab debugging
 * would have filled it with, so it crashes without it, too.
 */
static noinline void osq_crash_use_after_free(void)
{
	struct node *stale = kzalloc(sizeof(*stale), GFP_KERNEL);
	u8 *other[16] = {};
	size_t i;

	kfree(stale);
	for (i = 0; i < ARRAY_SIZE(other); i++) {
		other[i] = kmalloc(sizeof(*stale), GFP_KERNEL);
		if (other[i])
			memset(other[i], POISON, sizeof(*stale));
	}
	WRITE_ONCE(READ_ONCE(stale->next)->next, stale);
	for (i = 0; i < ARRAY_SIZE(other); i++)
		kfree(other[i]);
}

static noinline void osq_crash_bug(void)
{
	BUG();
}

static noinline void osq_crash_warn(void)
{
	WARN(1, "osq_test: asked for a warning\n");
}

static DEFINE_MUTEX(first_mutex);
static DEFINE_MUTEX(second_mutex);
static DECLARE_COMPLETION(first_is_held);

static int osq_crash_deadlock_thread(void *unused)
{
	mutex_lock(&second_mutex);
	complete(&first_is_held);
	mutex_lock(&first_mutex);
	mutex_unlock(&first_mutex);
	mutex_unlock(&second_mutex);
	return 0;
}

static noinline long osq_crash_deadlock(void)
{
	struct task_struct *other;

	mutex_lock(&first_mutex);
	other = kthread_run(osq_crash_deadlock_thread, NULL, "osq_deadlock");
	if (IS_ERR(other)) {
		mutex_unlock(&first_mutex);
		return PTR_ERR(other);
	}
	wait_for_completion(&first_is_held);
	mutex_lock(&second_mutex);
	mutex_unlock(&second_mutex);
	mutex_unlock(&first_mutex);
	return 0;
}

static noinline u32 osq_crash_stack_overflow(u32 depth)
{
	u8 frame[512];

	memset(frame, (int)depth, sizeof(frame));
	barrier_data(frame);
	if (depth)
		return osq_crash_stack_overflow(depth - 1) + frame[depth % 512];
	return 0;
}

static noinline void osq_crash_sleep_in_atomic(void)
{
	preempt_disable();
	msleep(20);
	preempt_enable();
}

static noinline void osq_crash_soft_lockup(void)
{
	unsigned long end = jiffies + LOCKUP_S * HZ;

	preempt_disable();
	while (time_before(jiffies, end))
		cpu_relax();
	preempt_enable();
}

static noinline void osq_crash_hard_lockup(void)
{
	unsigned long irq;

	local_irq_save(irq);
	mdelay(LOCKUP_S * 1000);
	local_irq_restore(irq);
}

/* As a driver that waits for an answer of its device. */
static noinline void osq_crash_hung_task(void)
{
	DECLARE_COMPLETION_ONSTACK(never);

	wait_for_completion_timeout(&never, LOCKUP_S * 10 * HZ);
}

static noinline long osq_crash_leak(void)
{
	struct node *lost = kzalloc(sizeof(*lost), GFP_KERNEL);

	return lost ? 0 : -ENOMEM;
}

/* One byte before and one behind; only a sanitizer can see it at once. */
static noinline long osq_crash_out_of_bounds(void)
{
	volatile u8 *block = kzalloc(BLOCK_BYTES - 1, GFP_KERNEL);

	if (!block)
		return -ENOMEM;
	block[BLOCK_BYTES - 1] = block[BLOCK_BYTES];
	kfree((void *)block);
	return 0;
}

static noinline void osq_crash_panic(void)
{
	panic("osq_test: asked for a panic");
}

static enum hrtimer_restart osq_crash_in_irq_timer(struct hrtimer *timer)
{
	osq_crash_null();
	return HRTIMER_NORESTART;
}

static noinline void osq_crash_in_irq(void)
{
	static struct hrtimer timer;

	osq_hrtimer_setup(&timer, osq_crash_in_irq_timer,
			  HRTIMER_MODE_REL_HARD);
	hrtimer_start(&timer, 0, HRTIMER_MODE_REL_HARD);
	msleep(1000);
	hrtimer_cancel(&timer);
}

static void crash_for_good(u32 kind)
{
	switch (kind) {
	case OSQ_CRASH_NULL:
		osq_crash_null();
		break;
	case OSQ_CRASH_USE_AFTER_FREE:
		osq_crash_use_after_free();
		break;
	case OSQ_CRASH_BUG:
		osq_crash_bug();
		break;
	case OSQ_CRASH_STACK_OVERFLOW:
		osq_crash_stack_overflow(1u << 20);
		break;
	case OSQ_CRASH_PANIC:
		osq_crash_panic();
		break;
	case OSQ_CRASH_IN_IRQ:
		osq_crash_in_irq();
		break;
	}
}

/*
 * osq_test_crash - do it.
 *
 * Return: if at all, 0; -EINVAL for a kind that is not known; -ENOMEM.
 */
long osq_test_crash(u32 kind)
{
	switch (kind) {
	case OSQ_CRASH_WARN:
		osq_crash_warn();
		return 0;
	case OSQ_CRASH_DEADLOCK:
		return osq_crash_deadlock();
	case OSQ_CRASH_SLEEP_IN_ATOMIC:
		osq_crash_sleep_in_atomic();
		return 0;
	case OSQ_CRASH_SOFT_LOCKUP:
		osq_crash_soft_lockup();
		return 0;
	case OSQ_CRASH_HARD_LOCKUP:
		osq_crash_hard_lockup();
		return 0;
	case OSQ_CRASH_HUNG_TASK:
		osq_crash_hung_task();
		return 0;
	case OSQ_CRASH_LEAK:
		return osq_crash_leak();
	case OSQ_CRASH_OUT_OF_BOUNDS:
		return osq_crash_out_of_bounds();
	}
	if (kind < OSQ_CRASH_NULL || kind > OSQ_CRASH_IN_IRQ)
		return -EINVAL;
	crash_for_good(kind);
	return 0;
}
