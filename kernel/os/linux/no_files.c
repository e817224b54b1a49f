// SPDX-License-Identifier: GPL-2.0-only
/*
 * no_files.c - in place of the file publisher and of WATCH, on a kernel whose
 * fsnotify does not report renames (FS_RENAME), or that has no fsnotify.
 *
 * CAPS reports file records as missing there, and the other types work.
 */
#include <linux/err.h>

#include "osq_file.h"

struct osq_watches __rcu *osq_watches; /* always NULL */

/* osq_publish_file_probe - see struct osq_publisher. */
bool osq_publish_file_probe(void)
{
	return false;
}

/* osq_publish_file_start - see struct osq_publisher. Return: -EOPNOTSUPP. */
int osq_publish_file_start(struct osq_ring *ring, u64 options)
{
	return -EOPNOTSUPP;
}

/* osq_publish_file_configure - never called: nothing is started. */
void osq_publish_file_configure(u64 options)
{
}

/* osq_publish_file_stop - never called, for the same reason. */
void osq_publish_file_stop(void)
{
}

/* osq_watch_prepare - see watch_order.c. Return: an error pointer. */
struct osq_watch_order *osq_watch_prepare(void __user *user)
{
	return ERR_PTR(-EOPNOTSUPP);
}

/* osq_watch_apply - never called: nobody has subscribed to files. */
int osq_watch_apply(struct osq_watch_order *order)
{
	return -EOPNOTSUPP;
}

/* osq_watch_put - there is only an error pointer, which needs nothing. */
void osq_watch_put(struct osq_watch_order *order)
{
}

/* osq_watches_drain - there are no marks. */
void osq_watches_drain(void)
{
}
