// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioctl.c - pass system calls to the core: arguments are copied outside of
 * device_mutex, and waiting is done outside of it, too.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "osq_opening.h"
#include "osq_test_build.h"

/*
 * The argument of every ioctl except STATS, FILTER and WATCH, which are too
 * large for the stack.
 */
union osq_argument {
	struct osq_version version;
	struct osq_allocate allocate;
	struct osq_subscribe subscribe;
	struct osq_sync sync;
	struct osq_caps caps;
	struct osq_notify notify;
	struct osq_share share;
};

static void do_caps(struct osq_caps *caps)
{
	osq_device_caps(caps, PAGE_SIZE);
	if (osq_namespaces_has_mnt())
		caps->flags |= OSQ_CAPS_MNT_NS;
	if (OSQ_ABI_VERSION == OSQ_ABI_TEST)
		caps->flags |= OSQ_CAPS_TEST_BUILD;
}

static long do_ioctl(struct osq_opening *own, unsigned int command,
		     union osq_argument *argument)
{
	long err;

	err = osq_opening_lock(own);
	if (err)
		return err;
	switch (command) {
	case OSQ_IOC_VERSION:
		argument->version.abi = OSQ_ABI_VERSION;
		argument->version.schema = OSQ_SCHEMA_VERSION;
		break;
	case OSQ_IOC_ALLOCATE:
		err = osq_opening_allocate(own, &argument->allocate);
		break;
	case OSQ_IOC_SUBSCRIBE:
		err = osq_device_subscribe(&own->session, &argument->subscribe);
		break;
	case OSQ_IOC_CAPS:
		do_caps(&argument->caps);
		break;
	case OSQ_IOC_NOTIFY:
		err = osq_device_notify(&own->session, &argument->notify);
		osq_readers_renew();
		break;
	case OSQ_IOC_SHARE:
		err = osq_device_share(&own->session, &argument->share);
		break;
	case OSQ_IOC_SYNC:
		err = osq_device_sync(&own->session, &argument->sync);
		break;
	default:
		err = -ENOTTY;
	}
	osq_opening_unlock();
	return err;
}

/* Called without device_mutex, between entering the wait queue and sleeping. */
static bool is_time(struct osq_opening *own)
{
	return READ_ONCE(own->session.queue) != OSQ_QUEUE_VALID ||
	       osq_readers_is_time(&own->session.ring);
}

/*
 * Run SYNC, and repeat it until it is time to read if the caller wants to wait.
 */
static long do_sync(struct osq_opening *own, bool may_wait,
		    union osq_argument *argument)
{
	struct osq_sync *sync = &argument->sync;
	long err;

	for (;;) {
		err = do_ioctl(own, OSQ_IOC_SYNC, argument);
		/* Records that came after the answer are for the next call. */
		if (err || !(sync->flags & OSQ_SYNC_WAIT) ||
		    (is_time(own) && sync->max_pos != sync->read_pos))
			return err;
		err = may_wait ? wait_event_interruptible(osq_readers,
							  is_time(own))
			       : -EAGAIN;
		if (err)
			return err;
	}
}

/* Too large for the stack, and rare. */
static long do_stats(struct osq_opening *own, void __user *user)
{
	struct osq_stats *stats = memdup_user(user, sizeof(*stats));
	long err = PTR_ERR_OR_ZERO(stats);

	if (err)
		return err;
	err = osq_opening_lock(own);
	if (!err) {
		err = osq_device_stats(&own->session, stats);
		osq_opening_unlock();
	}
	stats->wakeups = osq_readers_wakeups();
	if (!err && copy_to_user(user, stats, sizeof(*stats)))
		err = -EFAULT;
	kfree(stats);
	return err;
}

/*
 * The caller's right is checked first, then the argument, so that others get
 * EPERM.
 */
static long do_filter(struct osq_opening *own, void __user *user)
{
	struct osq_held_filter *held = osq_filter_prepare(user);
	long err = osq_opening_lock(own);

	if (!err) {
		err = osq_device_has_ring(&own->session);
		if (!err)
			err = PTR_ERR_OR_ZERO(held);
		if (!err)
			err = osq_filter_set(&own->session, &held);
		osq_opening_unlock();
	}
	osq_held_filter_put(held);
	return err;
}

/* Checks in the same order as do_filter. */
static long do_watch(struct osq_opening *own, void __user *user)
{
	struct osq_watch_order *order = osq_watch_prepare(user);
	long err;

	err = osq_opening_lock(own);
	if (!err) {
		err = osq_device_is_on(&own->session, OSQ_TYPE_FILE);
		if (!err)
			err = PTR_ERR_OR_ZERO(order);
		if (!err)
			err = osq_watch_apply(order);
		osq_opening_unlock();
	}
	osq_watch_put(order);
	return err;
}

/* This takes no device_mutex, so that many threads can make records at once. */
static long do_test(struct osq_opening *own, unsigned int command,
		    void __user *user)
{
	long err;

	err = osq_opening_lock(own);
	if (err)
		return err;
	osq_opening_unlock();
	return osq_test_ioctl(command, user);
}

/* osq_opening_ioctl - see osq.h. Context: process, may sleep. */
long osq_opening_ioctl(struct file *file, unsigned int command,
		       unsigned long address)
{
	struct osq_opening *own = file->private_data;
	void __user *user = (void __user *)address;
	union osq_argument argument = {};
	size_t bytes = _IOC_SIZE(command);
	long err;

	if (command == OSQ_IOC_STATS)
		return do_stats(own, user);
	if (command == OSQ_IOC_FILTER)
		return do_filter(own, user);
	if (command == OSQ_IOC_WATCH)
		return do_watch(own, user);
	if (osq_test_knows(command))
		return do_test(own, command, user);
	if (bytes > sizeof(argument))
		return -ENOTTY;
	if (_IOC_DIR(command) & _IOC_WRITE &&
	    copy_from_user(&argument, user, bytes))
		return -EFAULT;
	if (command == OSQ_IOC_SYNC)
		err = do_sync(own, !(file->f_flags & O_NONBLOCK), &argument);
	else
		err = do_ioctl(own, command, &argument);
	if (!err && _IOC_DIR(command) & _IOC_READ &&
	    copy_to_user(user, &argument, bytes))
		return -EFAULT;
	return err;
}
