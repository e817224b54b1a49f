/* SPDX-License-Identifier: GPL-2.0-only */
/* osq_os_impl.h - core/osq_os.h for Linux. */
#ifndef OSQ_OS_IMPL_H
#define OSQ_OS_IMPL_H

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/types.h>

/*
 * A raw lock, because tracepoints take it with interrupts off, on PREEMPT_RT
 * too.
 */
typedef raw_spinlock_t osq_os_lock_t;
typedef unsigned long osq_os_irq_t;

#define osq_os_lock_init(lock) raw_spin_lock_init(lock)

static inline osq_os_irq_t osq_os_lock(osq_os_lock_t *lock)
{
	osq_os_irq_t irq;

	raw_spin_lock_irqsave(lock, irq);
	return irq;
}

static inline void osq_os_unlock(osq_os_lock_t *lock, osq_os_irq_t irq)
{
	raw_spin_unlock_irqrestore(lock, irq);
}

static inline u64 osq_os_boot_ns(void)
{
	return ktime_get_boot_fast_ns();
}

#define osq_os_memcpy memcpy
#define osq_os_memset memset
#define osq_os_popcount hweight64

static inline void osq_os_count_up(u64 *count)
{
	atomic64_inc((atomic64_t *)count);
}

static inline u64 osq_os_count(const u64 *count)
{
	return atomic64_read((const atomic64_t *)count);
}

static inline void *osq_os_alloc(size_t bytes)
{
	return kvzalloc(bytes, GFP_KERNEL_ACCOUNT);
}

static inline void osq_os_free(void *pointer)
{
	kvfree(pointer);
}

#endif
