/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * osq_sets.h - memory of fixed size: sets of a few entries each, found by a
 * number. Each set has a lock of its own, which any context but NMI may take.
 */
#ifndef OSQ_SETS_H
#define OSQ_SETS_H

#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/* How a set begins; its user's entries follow. */
struct osq_set {
	raw_spinlock_t lock; /* protects the entries */
	unsigned long irq; /* of who holds the lock */
};

struct osq_sets {
	u32 bits; /* there are 2 to the power of these sets */
	u32 bytes; /* of one set */
	char *memory; /* from open to close */
};

static inline struct osq_set *osq_sets_at(const struct osq_sets *sets, u32 at)
{
	return (struct osq_set *)(sets->memory + (size_t)at * sets->bytes);
}

/*
 * osq_sets_open - have all sets, zeroed; undone by osq_sets_close.
 *
 * Context: may sleep. Return: 0 or -ENOMEM.
 */
static inline int osq_sets_open(struct osq_sets *sets)
{
	u32 count = 1u << sets->bits, at;

	sets->memory = kvcalloc(count, sets->bytes, GFP_KERNEL_ACCOUNT);
	if (!sets->memory)
		return -ENOMEM;
	for (at = 0; at < count; at++)
		raw_spin_lock_init(&osq_sets_at(sets, at)->lock);
	return 0;
}

/* osq_sets_close - nobody looks into a set any more. Context: may sleep. */
static inline void osq_sets_close(struct osq_sets *sets)
{
	kvfree(sets->memory);
	sets->memory = NULL;
}

/* osq_set_lock - the set of a number, locked until osq_set_unlock. */
static inline void *osq_set_lock(const struct osq_sets *sets, u64 number)
{
	struct osq_set *set = osq_sets_at(sets, hash_64(number, sets->bits));
	unsigned long irq;

	raw_spin_lock_irqsave(&set->lock, irq);
	set->irq = irq;
	/* For sparse alone: osq_set_unlock releases it. */
	__release(&set->lock);
	return set;
}

static inline void osq_set_unlock(struct osq_set *set)
{
	__acquire(&set->lock);
	raw_spin_unlock_irqrestore(&set->lock, set->irq);
}

#endif
