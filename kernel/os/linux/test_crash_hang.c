// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_crash_hang.c - tasks that wait for each other or for ever, and
 * processors that stay in a loop. See test_crash.c.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>

#include "osq_test.h"
#include "osq_test_crash.h"

/* Longer than any watchdog waits; it ends, in case nobody noticed. */
#define LOCKUP_S 120

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

static noinline void osq_crash_sleep_in_atomic(void)
{
	preempt_disable();
	msleep(20);
	preempt_enable();
}

/*
 * This uses the clock: mdelay uses the TSC, which jumps when the host was
 * paused.
 */
static noinline void osq_crash_soft_lockup(void)
{
	u64 end_ns = ktime_get_mono_fast_ns() + LOCKUP_S * NSEC_PER_SEC;

	preempt_disable();
	while (ktime_get_mono_fast_ns() < end_ns)
		mdelay(100);
	preempt_enable();
}

static noinline void osq_crash_hard_lockup(void)
{
	unsigned long irq;

	local_irq_save(irq);
	mdelay(LOCKUP_S * 1000);
	local_irq_restore(irq);
}

/* This waits as a driver does for an answer of its device. */
static noinline void osq_crash_hung_task(void)
{
	DECLARE_COMPLETION_ONSTACK(never);

	wait_for_completion_timeout(&never, LOCKUP_S * 10 * HZ);
}

static DEFINE_SPINLOCK(twice);

static noinline void osq_crash_spin_twice(void)
{
	spin_lock(&twice);
	spin_lock(&twice); /* for ever */
	spin_unlock(&twice);
	spin_unlock(&twice);
}

bool osq_test_is_hang(u32 kind)
{
	switch (kind) {
	case OSQ_CRASH_DEADLOCK:
	case OSQ_CRASH_SLEEP_IN_ATOMIC:
	case OSQ_CRASH_SOFT_LOCKUP:
	case OSQ_CRASH_HARD_LOCKUP:
	case OSQ_CRASH_HUNG_TASK:
	case OSQ_CRASH_SPIN_TWICE:
		return true;
	}
	return false;
}

long osq_test_hang(u32 kind)
{
	switch (kind) {
	case OSQ_CRASH_DEADLOCK:
		return osq_crash_deadlock();
	case OSQ_CRASH_SLEEP_IN_ATOMIC:
		osq_crash_sleep_in_atomic();
		break;
	case OSQ_CRASH_SOFT_LOCKUP:
		osq_crash_soft_lockup();
		break;
	case OSQ_CRASH_HARD_LOCKUP:
		osq_crash_hard_lockup();
		break;
	case OSQ_CRASH_HUNG_TASK:
		osq_crash_hung_task();
		break;
	case OSQ_CRASH_SPIN_TWICE:
		osq_crash_spin_twice();
		break;
	}
	return 0;
}
