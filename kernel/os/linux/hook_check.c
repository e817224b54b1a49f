// SPDX-License-Identifier: GPL-2.0-only
/*
 * hook_check.c - do the kprobes work? Root can switch all of them off
 * (kernel.ftrace_enabled=0, kprobes/enabled in debugfs), and the kernel
 * notifies nobody.
 *
 * So there is one more kprobe, on a function of this module. The module calls
 * the function to see whether the probe runs: now and then, and whenever the
 * counters are read. Each change is logged.
 */
#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/jiffies.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "osq_linux.h"

static unsigned int hook_check_s = 10;
module_param(hook_check_s, uint, 0400);
MODULE_PARM_DESC(hook_check_s,
		 "seconds between two looks at whether probes work; 0: only "
		 "when counters are asked for (10)");

#define SECONDS_MAX 86400u

static atomic_t hits = ATOMIC_INIT(0);
static unsigned int users; /* protected by device_mutex */
static struct kprobe probe;
/*
 * Only one check runs at a time; protects is_off. No other lock is taken
 * inside.
 */
static DEFINE_MUTEX(look_mutex);
static bool is_off;

/* An empty function for the probe. */
static noinline void call_me(void)
{
	barrier();
}

static int on_call(struct kprobe *unused, struct pt_regs *regs)
{
	atomic_inc(&hits);
	return 0;
}

/* Return: true when the probe was not called. */
static bool look(void)
{
	int before;
	bool off;

	mutex_lock(&look_mutex);
	before = atomic_read(&hits);
	call_me();
	off = atomic_read(&hits) == before;
	if (off && !is_off)
		pr_warn(OSQ_NAME ": kprobes are switched off: only execs, "
				 "forks, exits, files and modules are known\n");
	if (!off && is_off)
		pr_notice(OSQ_NAME ": kprobes work again\n");
	is_off = off;
	mutex_unlock(&look_mutex);
	return off;
}

static void on_time(struct work_struct *work);
static DECLARE_DELAYED_WORK(again, on_time);

static void look_later(void)
{
	unsigned int seconds = min(hook_check_s, SECONDS_MAX);

	if (seconds)
		queue_delayed_work(osq_wq, &again, seconds * HZ);
}

static void on_time(struct work_struct *work)
{
	look();
	look_later();
}

/*
 * osq_hook_check_start - check from now on; undone by osq_hook_check_stop.
 *
 * Context: may sleep; device_mutex is held.
 * Return: 0; the error of register_kprobe.
 */
int osq_hook_check_start(void)
{
	int err;

	if (users++)
		return 0;
	/*
	 * Values that a registration left in the structure would disturb the
	 * next one.
	 */
	probe = (struct kprobe){ .addr = (kprobe_opcode_t *)call_me,
				 .pre_handler = on_call };
	err = register_kprobe(&probe);
	if (err) {
		users--;
		return err;
	}
	is_off = false;
	look_later();
	return 0;
}

/* osq_hook_check_stop - return when no check runs. Context: as above. */
void osq_hook_check_stop(void)
{
	if (--users)
		return;
	cancel_delayed_work_sync(&again);
	unregister_kprobe(&probe);
}

/* osq_hook_check_is_off - see struct osq_publisher. The check is started. */
bool osq_hook_check_is_off(void)
{
	return look();
}
