/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * osq_os.h - everything that the core needs from the system it runs in.
 *
 * os/<system>/osq_os_impl.h, found by the include path, defines:
 *
 *	u8 u16 u32 u64, bool, size_t, EINVAL ... as the system has them
 *	osq_os_lock_t		protects from other CPUs and from interrupts
 *	osq_os_lock_init(lock)
 *	osq_os_lock(lock) -> osq_os_irq_t	any context; nests inside nothing
 *	osq_os_unlock(lock, irq)
 *	osq_os_boot_ns() -> u64	any context except NMI; it may step
 *				back, the ring corrects that
 *	osq_os_memcpy, osq_os_memset		any context
 *	osq_os_count_up(u64 *)	atomic, in no order; any context
 *	osq_os_count(const u64 *) -> u64	what it has come to
 *	osq_os_popcount(u64) -> how many bits are set	any context
 *	osq_os_alloc(bytes) -> void *	zeroed; may sleep; NULL on failure
 *	osq_os_free(pointer)		may sleep; NULL is allowed
 *
 * The caller of the core gives the ring's memory, since only the system
 * knows how to map it for user space, and wakes readers after a commit,
 * since only the system knows who waits.
 *
 * A publisher's callback may call osq_ring_reserve, _commit, _discard, _put,
 * _drop and _filtered, and no other function of the core. It does not sleep,
 * does not allocate, and is not preempted between a reservation and its end.
 */
#ifndef OSQ_OS_H
#define OSQ_OS_H

#include "osq_os_impl.h"

#endif
