// SPDX-License-Identifier: GPL-2.0-only
/* locks.c - allocate all locks at start, since XNU's locks are objects. */
#include "osq_macos.h"

static lck_grp_t *group;
lck_spin_t *osq_ring_lock;
lck_mtx_t *osq_device_mutex;
lck_mtx_t *osq_readers_mutex;
lck_mtx_t *osq_watch_mutex;

/*
 * osq_locks_init - allocate the locks; undone by osq_locks_deinit.
 *
 * Context: may sleep.
 * Return: 0, or -ENOMEM without any lock.
 */
int osq_locks_init(void)
{
	group = lck_grp_alloc_init(OSQ_NAME, NULL);
	if (!group)
		return -ENOMEM;
	osq_ring_lock = lck_spin_alloc_init(group, NULL);
	osq_device_mutex = lck_mtx_alloc_init(group, NULL);
	osq_readers_mutex = lck_mtx_alloc_init(group, NULL);
	osq_watch_mutex = lck_mtx_alloc_init(group, NULL);
	if (osq_ring_lock && osq_device_mutex && osq_readers_mutex &&
	    osq_watch_mutex)
		return 0;
	osq_locks_deinit();
	return -ENOMEM;
}

/* osq_locks_deinit - free the locks, which nobody uses any more. */
void osq_locks_deinit(void)
{
	if (osq_watch_mutex)
		lck_mtx_free(osq_watch_mutex, group);
	if (osq_readers_mutex)
		lck_mtx_free(osq_readers_mutex, group);
	if (osq_device_mutex)
		lck_mtx_free(osq_device_mutex, group);
	if (osq_ring_lock)
		lck_spin_free(osq_ring_lock, group);
	lck_grp_free(group);
}
