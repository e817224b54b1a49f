// SPDX-License-Identifier: GPL-2.0-only
/*
 * scratch.c - where records are encoded before they go into the ring.
 *
 * Every CPU has a few buffers, one for each level on which an encoder may be
 * interrupted by another. A buffer is taken by an atomic bit, not by turning
 * preemption off: on PREEMPT_RT an encoder may sleep for a lock, and come
 * back on another CPU. All taken is a drop of reason NESTED.
 */
#include <linux/bitops.h>
#include <linux/mm.h>
#include <linux/percpu.h>

#include "osq_linux.h"

struct cpu_scratch {
	unsigned long taken; /* bit n: level n */
	struct osq_scratch *level; /* OSQ_SCRATCH_LEVELS of them */
};

static DEFINE_PER_CPU(struct cpu_scratch, cpu_scratch);
static int users; /* protected by device_mutex */

static void free_all(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct cpu_scratch *own = per_cpu_ptr(&cpu_scratch, cpu);

		kvfree(own->level);
		own->level = NULL;
	}
}

/*
 * osq_scratch_open - have buffers; each call is undone by osq_scratch_close.
 *
 * Context: may sleep; device_mutex is held.
 * Return: 0 or -ENOMEM.
 */
int osq_scratch_open(void)
{
	int cpu;

	if (users++)
		return 0;
	for_each_possible_cpu(cpu) {
		struct cpu_scratch *own = per_cpu_ptr(&cpu_scratch, cpu);

		own->level = kvcalloc(OSQ_SCRATCH_LEVELS, sizeof(*own->level),
				      GFP_KERNEL_ACCOUNT);
		if (!own->level) {
			osq_scratch_close();
			return -ENOMEM;
		}
	}
	return 0;
}

/* osq_scratch_close - no encoder of the caller's runs any more. */
void osq_scratch_close(void)
{
	if (!--users)
		free_all();
}

/* osq_scratch_get - a buffer, or NULL. Context: any but NMI. */
struct osq_scratch *osq_scratch_get(void)
{
	struct cpu_scratch *own = raw_cpu_ptr(&cpu_scratch);
	int level;

	for (level = 0; level < OSQ_SCRATCH_LEVELS; level++)
		if (!test_and_set_bit_lock(level, &own->taken)) {
			own->level[level].taken = &own->taken;
			own->level[level].bit = level;
			return &own->level[level];
		}
	return NULL;
}

/* osq_scratch_put - give it back, on any CPU. */
void osq_scratch_put(struct osq_scratch *scratch)
{
	clear_bit_unlock(scratch->bit, scratch->taken);
}
