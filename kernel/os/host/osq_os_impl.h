/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * osq_os_impl.h - user space's answers to core/osq_os.h.
 *
 * So the same core meets threads, sanitizers and fuzzers without a kernel.
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
typedef pthread_mutex_t osq_os_lock_t;
typedef int osq_os_irq_t;

static inline void osq_os_lock_init(osq_os_lock_t *lock)
{
	pthread_mutex_init(lock, NULL);
}

static inline osq_os_irq_t osq_os_lock(osq_os_lock_t *lock)
{
	pthread_mutex_lock(lock);
	return 0;
}

static inline void osq_os_unlock(osq_os_lock_t *lock, osq_os_irq_t irq)
{
	(void)irq;
	pthread_mutex_unlock(lock);
}

u64 osq_os_boot_ns(void);

#define osq_os_memcpy memcpy
#define osq_os_memset memset
#define osq_os_popcount __builtin_popcountll

static inline void *osq_os_alloc(size_t bytes)
{
	return calloc(1, bytes);
}

static inline void osq_os_free(void *pointer)
{
	free(pointer);
}

#endif
