// SPDX-License-Identifier: GPL-2.0-only
/*
 * flaws - a module that misuses memory and locks in the way that is written to
 * /dev/flaws. An ordinary kernel survives each of them without a word.
 *
 * It belongs to a project that is not ours: the harness has to find the kind,
 * the function and the line of each flaw without knowing this file.
 */
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <linux/uaccess.h>

#define FLAWS_ROUNDS 2000

struct flaws_part {
	u8 first;
	u8 rest[119];
};

static DEFINE_MUTEX(flaws_outer);
static DEFINE_MUTEX(flaws_inner);
static DEFINE_SPINLOCK(flaws_lock);
static unsigned long flaws_shared;

/* Keeps a pointer's or a number's value from the compiler. */
#define HIDDEN(value) ({ typeof(value) _hidden = (value); \
	OPTIMIZER_HIDE_VAR(_hidden); _hidden; })

static noinline int flaws_leak(void)
{
	struct flaws_part *part = kzalloc(sizeof(*part), GFP_KERNEL);

	if (!part)
		return -ENOMEM;
	part->first = 1;
	return 0; /* and forgets it */
}

static noinline int flaws_use_after_free(void)
{
	struct flaws_part *part = HIDDEN(kzalloc(sizeof(*part), GFP_KERNEL));

	if (!part)
		return -ENOMEM;
	kfree(part);
	WRITE_ONCE(part->first, 2);
	return 0;
}

static noinline int flaws_out_of_bounds(void)
{
	struct flaws_part *part = kzalloc(sizeof(*part), GFP_KERNEL);
	u8 byte;

	if (!part)
		return -ENOMEM;
	byte = READ_ONCE(HIDDEN((u8 *)part)[sizeof(*part)]);
	kfree(part);
	return byte > 255;
}

static noinline int flaws_double_free(void)
{
	struct flaws_part *part = HIDDEN(kzalloc(sizeof(*part), GFP_KERNEL));

	kfree(part);
	kfree(HIDDEN(part)); /* for the second time */
	barrier();
	return 0;
}

/* Two orders of the same locks; nothing waits here. */
static noinline int flaws_inversion(void)
{
	mutex_lock(&flaws_outer);
	mutex_lock(&flaws_inner);
	mutex_unlock(&flaws_inner);
	mutex_unlock(&flaws_outer);
	mutex_lock(&flaws_inner);
	mutex_lock(&flaws_outer); /* the other way round */
	mutex_unlock(&flaws_outer);
	mutex_unlock(&flaws_inner);
	return 0;
}

/* This kmalloc may sleep, and does not need to as long as memory is left. */
static noinline int flaws_atomic(void)
{
	struct flaws_part *part;

	spin_lock(&flaws_lock);
	part = kzalloc(sizeof(*part), GFP_KERNEL);
	spin_unlock(&flaws_lock);
	kfree(part);
	return 0;
}

static noinline void flaws_count(void)
{
	flaws_shared++; /* without a lock */
}

static int flaws_counting(void *unused)
{
	unsigned int round;

	for (round = 0; round < FLAWS_ROUNDS && !kthread_should_stop(); round++) {
		flaws_count();
		usleep_range(10, 20);
	}
	while (!kthread_should_stop())
		msleep(20);
	return 0;
}

static noinline int flaws_race(void)
{
	struct task_struct *other;
	unsigned int round;

	other = kthread_run(flaws_counting, NULL, "counting");
	if (IS_ERR(other))
		return PTR_ERR(other);
	for (round = 0; round < FLAWS_ROUNDS; round++) {
		flaws_count();
		usleep_range(10, 20);
	}
	kthread_stop(other);
	return 0;
}

static void flaws_tick(struct timer_list *unused)
{
}

struct flaws_clock {
	struct timer_list timer;
};

/* DEBUG_OBJECTS finds a timer that is freed while it is active. */
static noinline int flaws_active_timer(void)
{
	struct flaws_clock *clock = kzalloc(sizeof(*clock), GFP_KERNEL);

	if (!clock)
		return -ENOMEM;
	timer_setup(&clock->timer, flaws_tick, 0);
	mod_timer(&clock->timer, jiffies + 60 * HZ);
	kfree(clock);
	return 0;
}

static noinline int flaws_shift(void)
{
	return (1 << HIDDEN(40)) == 3; /* farther than an int has bits */
}

/* The error path is missing: it works until an allocation fails. */
static noinline int flaws_unchecked(void)
{
	struct flaws_part *part = kzalloc(sizeof(*part), GFP_KERNEL);

	WRITE_ONCE(part->first, 3);
	kfree(part);
	return 0;
}

static const struct {
	const char *name;
	int (*act)(void);
} flaws_kinds[] = {
	{ "leak", flaws_leak },
	{ "use_after_free", flaws_use_after_free },
	{ "out_of_bounds", flaws_out_of_bounds },
	{ "double_free", flaws_double_free },
	{ "inversion", flaws_inversion },
	{ "atomic", flaws_atomic },
	{ "race", flaws_race },
	{ "active_timer", flaws_active_timer },
	{ "shift", flaws_shift },
	{ "unchecked", flaws_unchecked },
};

static ssize_t flaws_write(struct file *file, const char __user *buffer,
			   size_t size, loff_t *position)
{
	char name[24] = "";
	size_t i;

	if (size >= sizeof(name) || copy_from_user(name, buffer, size))
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(flaws_kinds); i++) {
		int error;

		if (strcmp(strim(name), flaws_kinds[i].name))
			continue;
		error = flaws_kinds[i].act();
		return error ? error : size;
	}
	return -EINVAL;
}

static const struct file_operations flaws_fops = {
	.owner = THIS_MODULE,
	.write = flaws_write,
};

static struct miscdevice flaws_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "flaws",
	.fops = &flaws_fops,
	.mode = 0600,
};

module_misc_device(flaws_device);
MODULE_DESCRIPTION("Has flaws that only debug kernels see");
MODULE_LICENSE("GPL");
