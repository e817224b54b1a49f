// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_hold.c - every buffer that records are encoded in, taken: what needs
 * one drops its record with reason NESTED.
 */
#include <linux/cpu.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "osq_linux.h"
#include "osq_test_build.h"

/* Protected by device_mutex. */
static struct osq_scratch **held;
static unsigned int held_count;

static long take_all(void *unused)
{
	struct osq_scratch *one;

	while ((one = osq_scratch_get()))
		held[held_count++] = one;
	return 0;
}

/*
 * osq_test_hold - take them, until osq_test_let_go.
 *
 * Context: may sleep; device_mutex is held.
 * Return: 0 or -ENOMEM.
 */
int osq_test_hold(void)
{
	int cpu, err;

	if (held)
		return 0;
	err = osq_scratch_open();
	if (err)
		return err;
	held = kcalloc(num_possible_cpus() * OSQ_SCRATCH_LEVELS, sizeof(*held),
		       GFP_KERNEL);
	if (!held) {
		osq_scratch_close();
		return -ENOMEM;
	}
	held_count = 0;
	cpus_read_lock();
	for_each_online_cpu(cpu)
		work_on_cpu(cpu, take_all, NULL);
	cpus_read_unlock();
	return 0;
}

/* osq_test_let_go - give them back, if they were taken. Context: as above. */
void osq_test_let_go(void)
{
	if (!held)
		return;
	while (held_count)
		osq_scratch_put(held[--held_count]);
	kfree(held);
	held = NULL;
	osq_scratch_close();
}
