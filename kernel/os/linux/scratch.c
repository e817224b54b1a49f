// SPDX-License-Identifier: GPL-2.0-only
/*
 * scratch.c - buffers in which records are encoded before they are put into the
 * ring.
 *
 * Every CPU has its own buffers. Encoders run in osq_encode_begin. Without
 * PREEMPT_RT that is without preemption, so two encoders of a CPU can meet only
 * when one interrupts the other: there is a buffer for each level, taken by an
 * atomic bit, and if all are taken the record is dropped with reason NESTED.
 * With PREEMPT_RT encoders are preempted, and may continue on another CPU:
 * there is one buffer, and a lock for which later encoders wait, as for the
 * locks of paths; its holder gets the priority of the most urgent waiter. No
 * record is dropped then.
 */
#include <linux/bitops.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/spinlock.h>

#include "osq_linux.h"
#include "osq_test_build.h"

struct cpu_scratch {
	unsigned long taken; /* bit n: level n; without PREEMPT_RT */
	spinlock_t turn; /* protects the one buffer; with PREEMPT_RT */
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
 * osq_scratch_open - allocate buffers; each call is undone by
 * osq_scratch_close.
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

		spin_lock_init(&own->turn);
		own->level = kvcalloc(OSQ_SCRATCH_LEVELS, sizeof(*own->level),
				      GFP_KERNEL_ACCOUNT);
		if (!own->level) {
			osq_scratch_close();
			return -ENOMEM;
		}
	}
	return 0;
}

/*
 * osq_scratch_close - free the buffers; no encoder of the caller runs any more.
 */
void osq_scratch_close(void)
{
	if (!--users)
		free_all();
}

/* Return: false when the buffer is taken, and the caller must not wait. */
static bool take_turn(struct cpu_scratch *own)
{
	if (preemptible())
		spin_lock(&own->turn);
	else if (!spin_trylock(&own->turn))
		return false;
	/* Only for sparse: osq_scratch_put releases the lock. */
	__release(&own->turn);
	return true;
}

/* osq_scratch_get - return a buffer, or NULL. Context: osq_encode_begin. */
struct osq_scratch *osq_scratch_get(void)
{
	struct cpu_scratch *own = raw_cpu_ptr(&cpu_scratch);
	int level = 0;

	if (osq_test_holds())
		return NULL;
	if (IS_ENABLED(CONFIG_PREEMPT_RT)) {
		if (!take_turn(own))
			return NULL;
	} else {
		while (test_and_set_bit_lock(level, &own->taken))
			if (++level == OSQ_SCRATCH_LEVELS)
				return NULL;
	}
	own->level[level].own = own;
	own->level[level].bit = level;
	return &own->level[level];
}

/* osq_scratch_put - return the buffer; by the same task, on any CPU. */
void osq_scratch_put(struct osq_scratch *scratch)
{
	struct cpu_scratch *own = scratch->own;

	if (IS_ENABLED(CONFIG_PREEMPT_RT)) {
		__acquire(&own->turn);
		spin_unlock(&own->turn);
	} else {
		clear_bit_unlock(scratch->bit, &own->taken);
	}
}
