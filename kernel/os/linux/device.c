// SPDX-License-Identifier: GPL-2.0
/*
 * device.c - /dev/osquery: from system calls to the core, and back.
 *
 * device_mutex protects the device and every session; the waits are outside
 * of it. A struct osq_file lives from open to the last reference on the file,
 * mappings included, and the ring with it.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/irq_work.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "osq_linux.h"

struct osq_file {
	struct osq_session session;
	struct osq_memory memory;
};

static DEFINE_MUTEX(device_mutex);
static struct osq_device device;
static DECLARE_WAIT_QUEUE_HEAD(readers);

/* A publisher may hold the runqueue's locks, so it does not wake itself. */
static void wake_readers(struct irq_work *work)
{
	wake_up_interruptible(&readers);
}

static DEFINE_IRQ_WORK(wake_work, wake_readers);

/*
 * osq_device_wake - let readers look again.
 *
 * A reader enters the wait queue and then looks at the ring under its lock;
 * a publisher commits under that lock and then queues this work. Whichever
 * takes the lock second sees what the other did before.
 */
void osq_device_wake(void)
{
	if (wq_has_sleeper(&readers))
		irq_work_queue(&wake_work);
}

/* A process is known by its thread group's pid, which cannot be reused. */
static const void *this_process(void)
{
	return task_tgid(current);
}

static int osq_open(struct inode *inode, struct file *file)
{
	struct osq_file *own;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	own = kzalloc(sizeof(*own), GFP_KERNEL_ACCOUNT);
	if (!own)
		return -ENOMEM;
	mutex_lock(&device_mutex);
	err = osq_device_attach(&device, &own->session, this_process());
	mutex_unlock(&device_mutex);
	if (err) {
		kfree(own);
		return err;
	}
	get_pid(task_tgid(current));
	file->private_data = own;
	return nonseekable_open(inode, file);
}

/* The owner closes, or dies: both come by here, a child's copy does not. */
static int osq_flush(struct file *file, fl_owner_t id)
{
	struct osq_file *own = file->private_data;

	mutex_lock(&device_mutex);
	if (own->session.owner == this_process())
		osq_device_detach(&device, &own->session);
	mutex_unlock(&device_mutex);
	wake_up_interruptible(&readers);
	return 0;
}

static int osq_release(struct inode *inode, struct file *file)
{
	struct osq_file *own = file->private_data;

	mutex_lock(&device_mutex);
	osq_device_detach(&device, &own->session);
	mutex_unlock(&device_mutex);
	put_pid((struct pid *)own->session.owner);
	osq_ring_deinit(&own->session.ring);
	osq_memory_deinit(&own->memory);
	kfree(own);
	return 0;
}

static int osq_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct osq_file *own = file->private_data;
	int err;

	mutex_lock(&device_mutex);
	err = osq_device_may_use(&own->session, this_process());
	if (!err)
		err = own->session.allocated ? osq_memory_map(&own->memory, vma)
					     : -ENXIO;
	mutex_unlock(&device_mutex);
	return err;
}

static __poll_t osq_poll(struct file *file, struct poll_table_struct *table)
{
	struct osq_file *own = file->private_data;
	__poll_t events = 0;

	poll_wait(file, &readers, table);
	mutex_lock(&device_mutex);
	if (osq_device_may_use(&own->session, this_process()))
		events = EPOLLHUP | EPOLLERR;
	else if (own->session.allocated &&
		 osq_ring_readable(&own->session.ring))
		events = EPOLLIN | EPOLLRDNORM;
	mutex_unlock(&device_mutex);
	return events;
}

static long do_version(struct osq_file *own, void __user *argument)
{
	struct osq_version version = {
		.abi = OSQ_ABI_VERSION,
		.schema = OSQ_SCHEMA_VERSION,
	};

	return copy_to_user(argument, &version, sizeof(version)) ? -EFAULT : 0;
}

static long do_allocate(struct osq_file *own, void __user *argument)
{
	struct osq_allocate request;
	int err;

	if (copy_from_user(&request, argument, sizeof(request)))
		return -EFAULT;
	err = osq_device_check_allocate(&own->session, &request);
	if (!err)
		err = osq_memory_init(&own->memory, request.ring_bytes);
	if (err)
		return err;
	err = osq_device_allocate(&device, &own->session, &request,
				  own->memory.data);
	if (err) {
		osq_memory_deinit(&own->memory);
		return err;
	}
	return copy_to_user(argument, &request, sizeof(request)) ? -EFAULT : 0;
}

static long do_subscribe(struct osq_file *own, void __user *argument)
{
	struct osq_subscribe request;

	if (copy_from_user(&request, argument, sizeof(request)))
		return -EFAULT;
	return osq_device_subscribe(&own->session, &request);
}

static long do_sync(struct osq_file *own, void __user *argument)
{
	struct osq_sync sync;
	int err;

	if (copy_from_user(&sync, argument, sizeof(sync)))
		return -EFAULT;
	err = osq_device_sync(&own->session, &sync);
	if (err)
		return err;
	if (copy_to_user(argument, &sync, sizeof(sync)))
		return -EFAULT;
	return sync.flags & OSQ_SYNC_WAIT && sync.max_pos == sync.read_pos
		       ? -EAGAIN
		       : 0;
}

static long osq_locked_ioctl(struct osq_file *own, unsigned int command,
			     void __user *argument)
{
	long err;

	mutex_lock(&device_mutex);
	err = osq_device_may_use(&own->session, this_process());
	if (!err) {
		switch (command) {
		case OSQ_IOC_VERSION:
			err = do_version(own, argument);
			break;
		case OSQ_IOC_ALLOCATE:
			err = do_allocate(own, argument);
			break;
		case OSQ_IOC_SUBSCRIBE:
			err = do_subscribe(own, argument);
			break;
		case OSQ_IOC_SYNC:
			err = do_sync(own, argument);
			break;
		default:
			err = -ENOTTY;
		}
	}
	mutex_unlock(&device_mutex);
	return err;
}

static bool something_to_read(struct osq_file *own)
{
	bool ready;

	mutex_lock(&device_mutex);
	ready = !own->session.attached || osq_ring_readable(&own->session.ring);
	mutex_unlock(&device_mutex);
	return ready;
}

static long osq_ioctl(struct file *file, unsigned int command,
		      unsigned long argument)
{
	struct osq_file *own = file->private_data;
	void __user *pointer = (void __user *)argument;
	long err;

	do {
		err = osq_locked_ioctl(own, command, pointer);
		if (err != -EAGAIN || file->f_flags & O_NONBLOCK)
			return err;
		err = wait_event_interruptible(readers, something_to_read(own));
	} while (!err);
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
	.name = "osquery",
	.fops = &osq_fops,
	.mode = 0600,
};

/* osq_device_register - make the node; all that it leads to is ready. */
int osq_device_register(void)
{
	return misc_register(&osq_misc);
}

/*
 * osq_device_unregister - remove the node.
 *
 * The module's reference count says that no file is open: no session, no
 * publisher and no waiter is left, only a wake-up may still be on its way.
 */
void osq_device_unregister(void)
{
	misc_deregister(&osq_misc);
	irq_work_sync(&wake_work);
}
