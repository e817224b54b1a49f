// SPDX-License-Identifier: GPL-2.0-only
/*
 * stumble - a module that breaks the kernel in the way that is written to
 * /dev/stumble.
 *
 * It belongs to a project that is not ours: the harness has to find the kind,
 * the function and the line of each break without knowing this file.
 */
#include <linux/bug.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct stumble_part {
	struct list_head link;
	char name[8];
	char rest[40];
};

static DEFINE_MUTEX(stumble_mutex);
static DEFINE_SPINLOCK(stumble_lock);
static DECLARE_WAIT_QUEUE_HEAD(stumble_queue);
static bool stumble_never;
static char __user *stumble_buffer;

/* Keeps a pointer's or a number's value from the compiler. */
#define HIDDEN(value) ({ typeof(value) _hidden = (value); \
	OPTIMIZER_HIDE_VAR(_hidden); _hidden; })

static noinline void stumble_null(void)
{
	int *nowhere = HIDDEN((int *)NULL);

	WRITE_ONCE(*nowhere, 1);
}

static noinline void stumble_wild(void)
{
	int *wild = HIDDEN((int *)0x6b6b6b6b6b6b6b6bUL);

	WRITE_ONCE(*wild, 1);
}

static noinline void stumble_bug(void)
{
	BUG_ON(!HIDDEN(stumble_never));
}

static noinline void stumble_warn(void)
{
	WARN_ON(!HIDDEN(stumble_never));
}

static noinline void stumble_divide(void)
{
	int by = HIDDEN(0);

	pr_info("stumble: %d\n", 1000 / by);
}

static noinline void stumble_list(void)
{
	struct stumble_part *part = kzalloc(sizeof(*part), GFP_KERNEL);
	LIST_HEAD(parts);

	if (!part)
		return;
	list_add(&part->link, &parts);
	list_del(&part->link);
	list_del(&part->link);	/* for the second time */
	kfree(part);
}

static noinline void stumble_refcount(void)
{
	refcount_t count = REFCOUNT_INIT(0);

	refcount_inc(&count);
}

static noinline void stumble_usercopy(void)
{
	struct stumble_part *part = kzalloc(sizeof(*part), GFP_KERNEL);

	if (!part)
		return;
	if (copy_to_user(stumble_buffer, part, HIDDEN(4 * sizeof(*part))))
		pr_info("stumble: not copied\n");
	kfree(part);
}

static noinline int stumble_recursion(int depth)
{
	char frame[256];

	memset(frame, depth, HIDDEN(sizeof(frame)));
	return stumble_recursion(HIDDEN(depth) + 1) + frame[HIDDEN(depth) % 256];
}

/* Both end in a jump to the kernel's function, which hides them from a stack. */
static noinline void stumble_put(struct stumble_part *part)
{
	kfree(part);
}

static noinline void stumble_enter(struct mutex *mutex)
{
	mutex_lock(mutex);
}

static noinline void stumble_double_free(void)
{
	struct stumble_part *part = kzalloc(sizeof(*part), GFP_KERNEL);

	stumble_put(part);
	stumble_put(part);
	barrier();
}

static noinline void stumble_deadlock(void)
{
	mutex_lock(&stumble_mutex);
	stumble_enter(&stumble_mutex);
	mutex_unlock(&stumble_mutex);
}

static noinline void stumble_forgotten(void)
{
	DECLARE_COMPLETION_ONSTACK(forgotten);

	wait_for_completion(&forgotten);
}

static noinline void stumble_asleep(void)
{
	if (wait_event_interruptible(stumble_queue, READ_ONCE(stumble_never)))
		pr_info("stumble: interrupted\n");
}

static noinline void stumble_spin(void)
{
	preempt_disable();
	while (!READ_ONCE(stumble_never))
		cpu_relax();
	preempt_enable();
}

static noinline void stumble_deaf(void)
{
	local_irq_disable();
	while (!READ_ONCE(stumble_never))
		cpu_relax();
	local_irq_enable();
}

static int stumble_wanting(void *unused)
{
	spin_lock(&stumble_lock);
	spin_unlock(&stumble_lock);
	return 0;
}

static noinline void stumble_atomic(void)
{
	struct task_struct *task;

	task = kthread_create(stumble_wanting, NULL, "wanting");
	if (IS_ERR(task))
		return;
	spin_lock(&stumble_lock);
	wake_up_process(task);
	msleep(60 * MSEC_PER_SEC);
	spin_unlock(&stumble_lock);
}

static void stumble_storm_work(struct work_struct *unused)
{
	void **last = NULL;

	for (;;) {
		void **next = (void **)__get_free_pages(GFP_KERNEL | __GFP_NORETRY, 2);

		if (next) {
			*next = last;
			last = next;
		} else {
			cond_resched();
		}
	}
}

static DECLARE_WORK(stumble_storm, stumble_storm_work);

static noinline void stumble_start_storm(void)
{
	queue_work(system_unbound_wq, &stumble_storm);
	flush_work(&stumble_storm);
}

static void stumble_late(struct timer_list *unused)
{
	int *nowhere = HIDDEN((int *)NULL);

	WRITE_ONCE(*nowhere, 2);
}

static DEFINE_TIMER(stumble_timer, stumble_late);

static noinline void stumble_start_timer(void)
{
	mod_timer(&stumble_timer, jiffies + 1);
	msleep(500);
}

static const struct {
	const char *name;
	void (*act)(void);
} stumble_kinds[] = {
	{ "null", stumble_null },
	{ "wild", stumble_wild },
	{ "bug", stumble_bug },
	{ "warn", stumble_warn },
	{ "divide", stumble_divide },
	{ "list", stumble_list },
	{ "refcount", stumble_refcount },
	{ "usercopy", stumble_usercopy },
	{ "double_free", stumble_double_free },
	{ "deadlock", stumble_deadlock },
	{ "forgotten", stumble_forgotten },
	{ "asleep", stumble_asleep },
	{ "spin", stumble_spin },
	{ "deaf", stumble_deaf },
	{ "atomic", stumble_atomic },
	{ "storm", stumble_start_storm },
	{ "timer", stumble_start_timer },
};

static ssize_t stumble_write(struct file *file, const char __user *buffer,
			     size_t size, loff_t *at)
{
	char name[16] = "";
	size_t i;

	if (size >= sizeof(name) || copy_from_user(name, buffer, size))
		return -EINVAL;
	stumble_buffer = (char __user *)buffer;
	if (!strcmp(strim(name), "recursion"))
		return stumble_recursion(0);
	for (i = 0; i < ARRAY_SIZE(stumble_kinds); i++) {
		if (strcmp(strim(name), stumble_kinds[i].name))
			continue;
		stumble_kinds[i].act();
		return size;
	}
	return -EINVAL;
}

static const struct file_operations stumble_fops = {
	.owner = THIS_MODULE,
	.write = stumble_write,
};

static struct miscdevice stumble_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "stumble",
	.fops = &stumble_fops,
	.mode = 0600,
};

module_misc_device(stumble_device);
MODULE_DESCRIPTION("Breaks the kernel on request");
MODULE_LICENSE("GPL");
