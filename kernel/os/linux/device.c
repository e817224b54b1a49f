// SPDX-License-Identifier: GPL-2.0-only
/*
 * device.c - /dev/osquery: from system calls to the core, and back.
 *
 * device_mutex protects the device, every session and every ring's memory.
 * Nothing that can fault happens under it: mmap takes it below mmap_lock, so
 * arguments are copied before and after, and the waits are outside, too.
 *
 * A struct osq_opening lives from open to the last reference on the file. The
 * ring goes when the owner leaves; a mapping of it holds pages of its own,
 * and the file, and with it this module.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/ratelimit.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "osq_linux.h"
#include "osq_test_build.h"

struct osq_opening {
	struct osq_session session;
	struct osq_memory memory;
	struct osq_owner owner;
};

/* What any ioctl takes and gives, but STATS, FILTER and WATCH: too large. */
union osq_argument {
	struct osq_version version;
	struct osq_allocate allocate;
	struct osq_subscribe subscribe;
	struct osq_sync sync;
	struct osq_caps caps;
	struct osq_notify notify;
};

static DEFINE_MUTEX(device_mutex);
static struct osq_device device;

/* The queue is over, publishers first: memory, filters. device_mutex is held. */
static void leave(struct osq_opening *own)
{
	bool is_last = device.session == &own->session;

	osq_device_detach(&device, &own->session);
	if (is_last)
		osq_filter_clear();
	osq_memory_deinit(&own->memory);
}

/* Let in the owner; let a stranger cost the queue. device_mutex is held. */
static int enter(struct osq_opening *own)
{
	int err = osq_device_may_use(&own->session,
				     osq_owner_caller(&own->owner));

	if (err == -EPERM && osq_device_invalidate(&own->session)) {
		osq_memory_deinit(&own->memory);
		osq_filter_clear();
		osq_readers_wake();
		pr_notice_ratelimited(OSQ_NAME
				      ": process %d is not the owner\n",
				      task_tgid_nr(current));
	}
	return err;
}

/* An owner that died without a flush: see owner.c. */
static void evict_dead_owner(struct work_struct *work)
{
	struct osq_opening *own;

	mutex_lock(&device_mutex);
	if (device.session) {
		own = container_of(device.session, struct osq_opening, session);
		if (osq_owner_is_dead(&own->owner))
			leave(own);
	}
	mutex_unlock(&device_mutex);
}

static DECLARE_WORK(death_work, evict_dead_owner);

static int osq_open(struct inode *inode, struct file *file)
{
	struct osq_opening *own;
	int err;

	/* A kernel thread could not map it. */
	if (!capable(CAP_SYS_ADMIN) || !current->mm)
		return -EPERM;
	own = kzalloc(sizeof(*own), GFP_KERNEL_ACCOUNT);
	if (!own)
		return -ENOMEM;
	/* Who has waited for the owner's death shall find the device free. */
	flush_work(&death_work);
	mutex_lock(&device_mutex);
	err = osq_device_attach(&device, &own->session, task_tgid(current));
	if (!err)
		osq_owner_init(&own->owner, &death_work);
	mutex_unlock(&device_mutex);
	if (err) {
		kfree(own);
		return err;
	}
	file->private_data = own;
	return nonseekable_open(inode, file);
}

/* The owner closes, or dies: both come by here, a child's copy does not. */
static int osq_flush(struct file *file, fl_owner_t id)
{
	struct osq_opening *own = file->private_data;

	/* Not osq_owner_caller: who is dying has no memory any more. */
	mutex_lock(&device_mutex);
	if (own->session.owner == task_tgid(current))
		leave(own);
	mutex_unlock(&device_mutex);
	osq_readers_wake();
	return 0;
}

static int osq_release(struct inode *inode, struct file *file)
{
	struct osq_opening *own = file->private_data;

	mutex_lock(&device_mutex);
	leave(own);
	mutex_unlock(&device_mutex);
	osq_owner_deinit(&own->owner);
	kfree(own);
	return 0;
}

static int osq_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct osq_opening *own = file->private_data;
	int err;

	mutex_lock(&device_mutex);
	err = enter(own);
	if (!err)
		err = osq_device_has_ring(&own->session);
	if (!err)
		err = osq_memory_map(&own->memory, vma);
	mutex_unlock(&device_mutex);
	return err;
}

static __poll_t osq_poll(struct file *file, struct poll_table_struct *table)
{
	struct osq_opening *own = file->private_data;
	__poll_t events = 0;
	int err;

	poll_wait(file, &osq_readers, table);
	mutex_lock(&device_mutex);
	err = osq_device_may_use(&own->session, osq_owner_caller(&own->owner));
	if (!err)
		err = osq_device_has_ring(&own->session);
	if (err && err != -ENXIO)
		events = EPOLLHUP | EPOLLERR;
	else if (osq_readers_is_time(&own->session.ring))
		events = EPOLLIN | EPOLLRDNORM;
	mutex_unlock(&device_mutex);
	return events;
}

/* Context: device_mutex is held. */
static long do_allocate(struct osq_opening *own, struct osq_allocate *request)
{
	int err = osq_device_check_allocate(&own->session, request);

	if (!err)
		err = osq_memory_init(&own->memory, request->ring_bytes);
	if (err)
		return err;
	err = osq_device_allocate(&device, &own->session, request,
				  own->memory.data);
	if (err)
		osq_memory_deinit(&own->memory);
	return err;
}

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

	mutex_lock(&device_mutex);
	err = enter(own);
	if (err)
		goto out;
	switch (command) {
	case OSQ_IOC_VERSION:
		argument->version.abi = OSQ_ABI_VERSION;
		argument->version.schema = OSQ_SCHEMA_VERSION;
		break;
	case OSQ_IOC_ALLOCATE:
		err = do_allocate(own, &argument->allocate);
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
	case OSQ_IOC_SYNC:
		err = osq_device_sync(&own->session, &argument->sync);
		break;
	default:
		err = -ENOTTY;
	}
out:
	mutex_unlock(&device_mutex);
	return err;
}

/* Without device_mutex: it is asked between entering a wait and sleeping. */
static bool is_time(struct osq_opening *own)
{
	return READ_ONCE(own->session.queue) != OSQ_QUEUE_VALID ||
	       osq_readers_is_time(&own->session.ring);
}

/* SYNC until it is time to read, when that is asked for. */
static long do_sync(struct osq_opening *own, bool may_wait,
		    union osq_argument *argument)
{
	struct osq_sync *sync = &argument->sync;
	long err;

	for (;;) {
		err = do_ioctl(own, OSQ_IOC_SYNC, argument);
		/* What came behind the answer is for another turn. */
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

/* STATS and FILTER: too large for the stack, and rare. */
static long do_large(struct osq_opening *own, unsigned int command,
		     void __user *user)
{
	bool asks = command == OSQ_IOC_STATS;
	void *argument = memdup_user(user, _IOC_SIZE(command));
	struct osq_stats *stats = argument;
	long err = PTR_ERR_OR_ZERO(argument);

	if (err)
		return err;
	mutex_lock(&device_mutex);
	err = enter(own);
	if (!err)
		err = asks ? osq_device_stats(&own->session, stats)
			   : osq_filter_set(&own->session, argument);
	mutex_unlock(&device_mutex);
	if (asks)
		stats->wakeups = osq_readers_wakeups();
	if (!err && asks && copy_to_user(user, stats, sizeof(*stats)))
		err = -EFAULT;
	kfree(argument);
	return err;
}

/* Says who may before it says what was wrong with the call. */
static long do_watch(struct osq_opening *own, void __user *user)
{
	struct osq_watch_order *order = osq_watch_prepare(user);
	long err;

	mutex_lock(&device_mutex);
	err = enter(own);
	if (!err)
		err = osq_device_is_on(&own->session, OSQ_TYPE_FILE);
	if (!err)
		err = PTR_ERR_OR_ZERO(order);
	if (!err)
		err = osq_watch_apply(order);
	mutex_unlock(&device_mutex);
	osq_watch_put(order);
	return err;
}

/* Without device_mutex, so that many threads can make records at once. */
static long do_test(struct osq_opening *own, unsigned int command,
		    void __user *user)
{
	long err;

	mutex_lock(&device_mutex);
	err = enter(own);
	mutex_unlock(&device_mutex);
	return err ? err : osq_test_ioctl(command, user);
}

static long osq_ioctl(struct file *file, unsigned int command,
		      unsigned long address)
{
	struct osq_opening *own = file->private_data;
	void __user *user = (void __user *)address;
	union osq_argument argument = {};
	size_t bytes = _IOC_SIZE(command);
	long err;

	if (command == OSQ_IOC_STATS || command == OSQ_IOC_FILTER)
		return do_large(own, command, user);
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

static const struct file_operations osq_fops = {
	.owner = THIS_MODULE,
	.open = osq_open,
	.flush = osq_flush,
	.release = osq_release,
	.mmap = osq_mmap,
	.poll = osq_poll,
	.unlocked_ioctl = osq_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice osq_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = OSQ_NODE,
	.fops = &osq_fops,
	.mode = 0600,
	.groups = osq_stats_groups,
};

void osq_device_peek(struct osq_stats *stats)
{
	mutex_lock(&device_mutex);
	if (device.session)
		osq_device_count(device.session, stats);
	mutex_unlock(&device_mutex);
	stats->wakeups = osq_readers_wakeups();
}

/* osq_device_register - make the node; all that it leads to is ready. */
int osq_device_register(void)
{
	return misc_register(&osq_misc);
}

/*
 * osq_device_unregister - remove the node.
 *
 * The module's reference count says that no file is open: no session, no
 * publisher and no waiter is left, only work may still be on its way.
 */
void osq_device_unregister(void)
{
	misc_deregister(&osq_misc);
	cancel_work_sync(&death_work);
	osq_readers_sync();
}
