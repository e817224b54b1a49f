// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_crash.c - break the kernel in each of the ways that a harness must
 * notice, name and survive. Each way is a function of its own, so that its name
 * is in the backtrace. Here are those that stop a processor at once; the others
 * are in test_crash_memory.c and test_crash_hang.c.
 */
#include <linux/bug.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/string.h>

#include "compat.h"
#include "osq_test.h"
#include "osq_test_crash.h"

static noinline void osq_crash_null(void)
{
	WRITE_ONCE(*(volatile int *)NULL, 1);
}

static noinline void osq_crash_bug(void)
{
	BUG();
}

static noinline void osq_crash_general_protection(void)
{
	/*
	 * Not canonical on any x86-64, with page tables of four levels or five.
	 */
	WRITE_ONCE(*(volatile int *)0x0badc0de00000000ul, 1);
}

static noinline int osq_crash_divide(int by)
{
	/* Not 1 / by, which compilers can compute without a division. */
	OPTIMIZER_HIDE_VAR(by);
	return 1000 / by;
}

/* The compiler's guard sits between this array and the return address. */
static noinline void osq_crash_stack_smash(size_t bytes)
{
	u8 small[32];

	OPTIMIZER_HIDE_VAR(bytes);
	__builtin_memset(small, 0x41, bytes);
	barrier_data(small);
}

static noinline void osq_crash_warn(void)
{
	WARN(1, "osq_test: asked for a warning\n");
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

/*
 * osq_test_crash - crash in the way that @kind names.
 *
 * Return: if at all, 0; -EINVAL for an unknown kind; -ENOMEM.
 */
long osq_test_crash(u32 kind)
{
	switch (kind) {
	case OSQ_CRASH_NULL:
		osq_crash_null();
		return 0;
	case OSQ_CRASH_GENERAL_PROTECTION:
		osq_crash_general_protection();
		return 0;
	case OSQ_CRASH_DIVIDE:
		return osq_crash_divide(0);
	case OSQ_CRASH_BUG:
		osq_crash_bug();
		return 0;
	case OSQ_CRASH_WARN:
		osq_crash_warn();
		return 0;
	case OSQ_CRASH_STACK_OVERFLOW:
		return osq_crash_stack_overflow(1u << 20);
	case OSQ_CRASH_STACK_SMASH:
		osq_crash_stack_smash(64);
		return 0;
	case OSQ_CRASH_PANIC:
		osq_crash_panic();
		return 0;
	case OSQ_CRASH_IN_IRQ:
		osq_crash_in_irq();
		return 0;
	}
	if (osq_test_is_hang(kind))
		return osq_test_hang(kind);
	return osq_test_spoil(kind);
}
