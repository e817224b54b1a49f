/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * osq_os_impl.h - core/osq_os.h for user space.
 *
 * With it the core runs under threads, sanitizers and fuzzers in a process.
 * With OSQ_HOST_SPIN it has the spin locks of a kernel and counts nothing, so
 * that benchmarks measure the core alone.
 */
#ifndef OSQ_OS_IMPL_H
#define OSQ_OS_IMPL_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int osq_os_irq_t;

/* Words that were counted since this thread took a lock; see osq_host.h. */
extern _Thread_local u64 osq_host_steps;
void osq_host_note_steps(void);

#ifdef OSQ_HOST_SPIN

#include <sched.h>

/* A process may have more threads than CPUs: then the holder has to run. */
#define OSQ_HOST_SPINS 1000

typedef struct {
	bool is_taken;
} osq_os_lock_t;

static inline void osq_os_lock_init(osq_os_lock_t *lock)
{
	lock->is_taken = false;
}

static inline osq_os_irq_t osq_os_lock(osq_os_lock_t *lock)
{
	int spins = 0;

	while (__atomic_exchange_n(&lock->is_taken, true, __ATOMIC_ACQUIRE))
		while (__atomic_load_n(&lock->is_taken, __ATOMIC_RELAXED))
			if (++spins % OSQ_HOST_SPINS == 0)
				sched_yield();
	return 0;
}

static inline void osq_os_unlock(osq_os_lock_t *lock, osq_os_irq_t irq)
{
	(void)irq;
	__atomic_store_n(&lock->is_taken, false, __ATOMIC_RELEASE);
}

#else

typedef pthread_mutex_t osq_os_lock_t;

static inline void osq_os_lock_init(osq_os_lock_t *lock)
{
	pthread_mutex_init(lock, NULL);
}

static inline osq_os_irq_t osq_os_lock(osq_os_lock_t *lock)
{
	pthread_mutex_lock(lock);
	osq_host_steps = 0;
	return 0;
}

static inline void osq_os_unlock(osq_os_lock_t *lock, osq_os_irq_t irq)
{
	(void)irq;
	osq_host_note_steps();
	pthread_mutex_unlock(lock);
}

#endif

u64 osq_os_boot_ns(void);

#define osq_os_memcpy memcpy
#define osq_os_memset memset

static inline u64 osq_os_popcount(u64 word)
{
#ifndef OSQ_HOST_SPIN
	osq_host_steps++;
#endif
	return (u64)__builtin_popcountll(word);
}

static inline void osq_os_count_up(u64 *count)
{
	__atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
}

static inline u64 osq_os_count(const u64 *count)
{
	return __atomic_load_n(count, __ATOMIC_RELAXED);
}

static inline void *osq_os_alloc(size_t bytes)
{
	return calloc(1, bytes);
}

static inline void osq_os_free(void *pointer)
{
	free(pointer);
}

#endif
