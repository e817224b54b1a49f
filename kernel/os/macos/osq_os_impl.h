/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* osq_os_impl.h - core/osq_os.h for XNU. */
#ifndef OSQ_OS_IMPL_H
#define OSQ_OS_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kern/clock.h>
#include <kern/locks.h>
#include <libkern/libkern.h>
#include <sys/errno.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
/* XNU allocates spin locks. No publisher runs in an interrupt. */
typedef lck_spin_t *osq_os_lock_t;
typedef int osq_os_irq_t;

/*
 * osq_ring_lock - allocated by osq_locks_init, for the only ring.
 *
 * There is one session at a time, and a session has one ring.
 */
extern lck_spin_t *osq_ring_lock;

static inline void osq_os_lock_init(osq_os_lock_t *lock)
{
	*lock = osq_ring_lock;
}

static inline osq_os_irq_t osq_os_lock(osq_os_lock_t *lock)
{
	lck_spin_lock(*lock);
	return 0;
}

static inline void osq_os_unlock(osq_os_lock_t *lock, osq_os_irq_t irq)
{
	(void)irq;
	lck_spin_unlock(*lock);
}

/*
 * It does not include time that the machine slept: the clock that does came
 * with macOS 10.12, and the kext supports 10.10, too.
 */
static inline u64 osq_os_boot_ns(void)
{
	u64 ticks, ns;

	clock_get_uptime(&ticks);
	absolutetime_to_nanoseconds(ticks, &ns);
	return ns;
}

#define osq_os_memcpy memcpy
#define osq_os_memset memset
#define osq_os_popcount __builtin_popcountll

static inline void osq_os_count_up(u64 *count)
{
	__atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
}

static inline u64 osq_os_count(const u64 *count)
{
	return __atomic_load_n(count, __ATOMIC_RELAXED);
}

/* memory.c */
void *osq_os_alloc(size_t bytes);
void osq_os_free(void *pointer);

#endif
