// SPDX-License-Identifier: GPL-2.0-only
/*
 * device.c - /dev/osquery: who owns it, from open to release. The owner's
 * ioctls are in ioctl.c.
 *
 * device_mutex protects the device, every session and every ring's memory.
 * Hooks are added and removed under it, which takes cpus_read_lock.
 * cpuset_attach takes mmap_lock below that one, so mmap, which is called under
 * mmap_lock, does not take device_mutex (memory.c has a lock for it), and no
 * code under device_mutex may fault: arguments are copied before and after.
 * Waiting is done outside of it, too.
 *
 * A struct osq_opening lives from open to the last reference on the file. The
 * ring is freed when the owner leaves; a mapping of it holds references on the
 * pages, on the file, and with it on this module.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/ratelimit.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "osq_node.h"
#include "osq_opening.h"

static DEFINE_MUTEX(device_mutex);
static struct osq_device device;

/*
 * End the queue: first the publishers, then memory and filters. device_mutex is
 * held.
 */
static void leave(struct osq_opening *own)
{
	bool is_last = device.session == &own->session;

	osq_device_detach(&device, &own->session);
	if (is_last)
		osq_filter_clear();
	osq_memory_deinit(&own->memory);
}

/*
 * End the queue because another process used it; the owner must allocate again.
 * device_mutex is held.
 */
static void give_up(struct osq_opening *own)
{
	WRITE_ONCE(own->meddled, false);
	if (!osq_device_invalidate(&own->session))
		return;
	osq_memory_deinit(&own->memory);
	osq_filter_clear();
	osq_readers_wake();
}

static void say_stranger(void)
{
	pr_notice_ratelimited(OSQ_NAME ": process %d is not the owner\n",
			      task_tgid_nr(current));
}

/*
 * Admit the owner; a call by another process ends the queue. device_mutex is
 * held.
 */
static int enter(struct osq_opening *own)
{
	int err = osq_device_may_use(&own->session,
				     osq_owner_caller(&own->owner));

	if (err == -EPERM)
		say_stranger();
	if (err == -EPERM || READ_ONCE(own->meddled))
		give_up(own);
	return err;
}

/*
 * osq_opening_lock - admit the owner, and take device_mutex.
 *
 * Context: may sleep. Return: 0 with device_mutex held; else as
 * osq_device_may_use, without it.
 */
int osq_opening_lock(struct osq_opening *own)
{
	int err;

	mutex_lock(&device_mutex);
	err = enter(own);
	if (err)
		mutex_unlock(&device_mutex);
	return err;
}

void osq_opening_unlock(void)
{
	mutex_unlock(&device_mutex);
}

/*
 * osq_opening_allocate - allocate a ring for the owner. Context:
 * osq_opening_lock.
 *
 * Return: as osq_device_check_allocate and osq_memory_init.
 */
int osq_opening_allocate(struct osq_opening *own, struct osq_allocate *request)
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

/*
 * React to an owner that died without a flush (see owner.c), or to another
 * process's mmap.
 */
static void look_after_owner(struct work_struct *work)
{
	struct osq_opening *own;

	mutex_lock(&device_mutex);
	if (device.session) {
		own = container_of(device.session, struct osq_opening, session);
		if (osq_owner_is_dead(&own->owner))
			leave(own);
		else if (READ_ONCE(own->meddled))
			give_up(own);
	}
	mutex_unlock(&device_mutex);
}

static DECLARE_WORK(owner_work, look_after_owner);

static int osq_open(struct inode *inode, struct file *file)
{
	struct osq_opening *own;
	int err;

	/* A kernel thread has no memory into which it could map the ring. */
	if (!capable(CAP_SYS_ADMIN) || !current->mm)
		return -EPERM;
	own = kzalloc(sizeof(*own), GFP_KERNEL_ACCOUNT);
	if (!own)
		return -ENOMEM;
	/*
	 * A process that waited for the owner's death must find the device
	 * free.
	 */
	flush_work(&owner_work);
	mutex_lock(&device_mutex);
	err = osq_device_attach(&device, &own->session, task_tgid(current));
	if (!err)
		osq_owner_init(&own->owner, &owner_work);
	mutex_unlock(&device_mutex);
	if (err) {
		kfree(own);
		return err;
	}
	file->private_data = own;
	/* Nothing in the device has a position, so lseek has to fail. */
	return nonseekable_open(inode, file);
}

/*
 * Called when the owner closes the device or dies, not for a child's copy of
 * its descriptor.
 */
static int osq_flush(struct file *file, fl_owner_t id)
{
	struct osq_opening *own = file->private_data;

	/*
	 * osq_owner_caller is not used here, because a dying process has no
	 * memory any more.
	 */
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

/* Called with mmap_lock held, so device_mutex must not be taken; see above. */
static int osq_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct osq_opening *own = file->private_data;
	int err;

	if (osq_owner_caller(&own->owner) != own->session.owner) {
		say_stranger();
		WRITE_ONCE(own->meddled, true);
		schedule_work(&owner_work);
		return -EPERM;
	}
	err = osq_device_has_ring(&own->session);
	return err ? err : osq_memory_map(&own->memory, vma);
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

static const struct file_operations osq_fops = {
	.owner = THIS_MODULE,
	.open = osq_open,
	.flush = osq_flush,
	.release = osq_release,
	.mmap = osq_mmap,
	.poll = osq_poll,
	.unlocked_ioctl = osq_opening_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

void osq_device_peek(struct osq_stats *stats)
{
	mutex_lock(&device_mutex);
	if (device.session)
		osq_device_count(device.session, stats);
	mutex_unlock(&device_mutex);
	stats->wakeups = osq_readers_wakeups();
}

/*
 * osq_device_register - make the node, when everything that it uses is ready.
 */
int osq_device_register(void)
{
	return osq_node_add(&osq_fops);
}

/*
 * osq_device_unregister - remove the node.
 *
 * The module's reference count guarantees that no file is open: no session, no
 * publisher and no waiter is left. Only queued work may still run.
 */
void osq_device_unregister(void)
{
	osq_node_remove();
	cancel_work_sync(&owner_work);
	osq_readers_sync();
}
