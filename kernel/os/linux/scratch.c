// SPDX-License-Identifier: GPL-2.0-only
/*
 * scratch.c - where records are encoded before they go into the ring.
 *
 * Every CPU has buffers of its own. Encoders run in osq_encode_begin. Without
 * PREEMPT_RT that is without preemption, so one encoder of a CPU can meet
 * another only by interrupting it: there is a buffer for each level, taken by
 * an atomic bit, and all taken is a drop of reason NESTED. With PREEMPT_RT
 * encoders are preempted, and may come back on another CPU: there is one
 * buffer, and a lock that those who come later wait for, as for the locks of
 * paths; who holds it has the priority of the most urgent. None is dropped.
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

/* osq_scratch_close - no encoder of the caller's runs any more. */
void osq_scratch_close(void)
{
	if (!--users)
		free_all();
}

/* Return: false when it is taken, and nobody can wait here. */
static bool take_turn(struct cpu_scratch *own)
{
	if (preemptible())
		spin_lock(&own->turn);
	else if (!spin_trylock(&own->turn))
		return false;
	/* For sparse alone: osq_scratch_put releases it. */
	__release(&own->turn);
	return true;
}

/* osq_scratch_get - a buffer, or NULL. Context: osq_encode_begin. */
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

/* osq_scratch_put - give it back; the same task, on any CPU. */
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
