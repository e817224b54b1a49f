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

u64 osq_os_boot_ns(void);

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

#define osq_os_memcpy memcpy
#define osq_os_popcount(word) ((u64)__builtin_popcountll(word))

#else

#include "osq_host.h"

typedef pthread_mutex_t osq_os_lock_t;

struct osq_host_thread {
	bool holds_lock;
	u64 words; /* of bitmaps, counted since it took the lock */
	struct osq_host_work work;
};

extern _Thread_local struct osq_host_thread osq_host_thread;

static inline void osq_os_lock_init(osq_os_lock_t *lock)
{
	pthread_mutex_init(lock, NULL);
}

static inline osq_os_irq_t osq_os_lock(osq_os_lock_t *lock)
{
	pthread_mutex_lock(lock);
	osq_host_thread.holds_lock = true;
	osq_host_thread.words = 0;
	osq_host_thread.work.locks++;
	return 0;
}

static inline void osq_os_unlock(osq_os_lock_t *lock, osq_os_irq_t irq)
{
	struct osq_host_thread *me = &osq_host_thread;

	(void)irq;
	if (me->work.most_words < me->words)
		me->work.most_words = me->words;
	me->holds_lock = false;
	pthread_mutex_unlock(lock);
}

static inline void *osq_os_memcpy(void *to, const void *from, size_t bytes)
{
	if (osq_host_thread.holds_lock)
		osq_host_thread.work.copied_bytes += bytes;
	return memcpy(to, from, bytes);
}

static inline u64 osq_os_popcount(u64 word)
{
	osq_host_thread.words++;
	return (u64)__builtin_popcountll(word);
}

#endif

#define osq_os_memset memset

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
