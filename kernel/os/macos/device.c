// SPDX-License-Identifier: GPL-2.0-only
/*
 * device.c - /dev/osquery: from system calls to the core, and back.
 *
 * osq_device_mutex protects the device, the session, the ring's memory and
 * all variables here. XNU gives a driver no state of its own for each open
 * file, so there is one session, and a second open is refused while its
 * owner lives. XNU has copied an argument in before d_ioctl is called, and
 * copies it out after it returned 0. Errors are positive: among the negative
 * ones there are -1, which makes XNU restart the system call, and -2.
 */
#include <IOKit/IOLib.h>
#include <miscfs/devfs/devfs.h>
#include <sys/conf.h>
#include <sys/fcntl.h>
#include <sys/ioctl.h>

#include "osq_macos.h"

#define DRAIN_MS 100u

struct osq_opening {
	struct osq_session session;
	struct osq_memory memory;
	struct osq_owner owner;
};

static struct osq_device device;
static struct osq_opening own; /* in use while device.session or is_open */
static bool is_open; /* between an open and the last close */
static bool is_closing; /* opens are refused: the node is being removed */
static u32 inside; /* system calls between enter_call and leave_call; atomic */
static int slot;
static void *node;

static int positive(int err)
{
	return -err;
}

/* Count a call, so that the kext is not unloaded while it runs. */
static void enter_call(void)
{
	__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST);
	lck_mtx_lock(osq_device_mutex);
}

static void leave_call(void)
{
	lck_mtx_unlock(osq_device_mutex);
	__atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
}

/* Free the memory of a queue that has ended. Context: osq_device_mutex. */
static void leave(void)
{
	if (own.session.queue == OSQ_QUEUE_LEFT)
		return;
	osq_device_detach(&device, &own.session);
	osq_memory_deinit(&own.memory);
	osq_memory_unmap(&own.memory);
	osq_owner_deinit(&own.owner);
}

/* Admit the owner; others invalidate the queue. Context: osq_device_mutex. */
static int enter(void)
{
	int err =
		osq_device_may_use(&own.session, osq_owner_caller(&own.owner));

	if (err == -EPERM && osq_device_invalidate(&own.session)) {
		osq_memory_deinit(&own.memory);
		osq_readers_wake();
		printf(OSQ_NAME ": a process that is not the owner\n");
	}
	return err;
}

/* Context: osq_device_mutex. */
static int attach(void)
{
	int err;

	/* A child may keep the device open, so no close tells of the death. */
	if (device.session && osq_owner_is_dead(&own.owner))
		leave();
	if (device.session)
		return -EBUSY;
	osq_owner_init(&own.owner);
	err = osq_device_attach(&device, &own.session, own.owner.task);
	if (err)
		osq_owner_deinit(&own.owner);
	else
		is_open = true;
	return err;
}

static int osq_open(dev_t dev, int flags, int type, struct proc *process)
{
	int err = -EPERM;

	(void)dev;
	(void)flags;
	(void)type;
	(void)process;
	enter_call();
	if (is_closing)
		err = -ENXIO;
	else if (!kauth_getuid())
		err = attach();
	leave_call();
	return positive(err);
}

/* The last close of the node, by any process. */
static int osq_close(dev_t dev, int flags, int type, struct proc *process)
{
	(void)dev;
	(void)flags;
	(void)type;
	(void)process;
	enter_call();
	leave();
	is_open = false;
	osq_readers_wake();
	leave_call();
	return 0;
}

/* Context: osq_device_mutex. */
static int do_allocate(struct osq_allocate *request)
{
	int err = osq_device_check_allocate(&own.session, request);

	if (!err)
		err = osq_memory_init(&own.memory, request->ring_bytes);
	if (err)
		return err;
	err = osq_device_allocate(&device, &own.session, request,
				  own.memory.data);
	if (err)
		osq_memory_deinit(&own.memory);
	return err;
}

/* Context: osq_device_mutex. */
static int do_map(struct osq_map *map)
{
	int err = osq_device_has_ring(&own.session);

	if (err)
		return err;
	map->map_bytes = 2 * own.session.ring.size;
	return osq_memory_map(&own.memory, map);
}

/* Context: osq_device_mutex. */
static int do_watch(const struct osq_watch *watch)
{
	int err = osq_device_is_on(&own.session, OSQ_TYPE_FILE);

	return err ? err : osq_watch_apply(watch);
}

/* Context: osq_device_mutex. */
static int do_stats(struct osq_stats *stats)
{
	int err = osq_device_stats(&own.session, stats);

	if (!err)
		stats->wakeups = osq_readers_wakeups();
	return err;
}

/*
 * The whole command is compared, with its size and direction: both say how
 * much of @data there is, and whether it was filled.
 * Context: osq_device_mutex.
 */
static int dispatch(u_long command, void *data)
{
	struct osq_version *version = data;

	switch (command) {
	case OSQ_IOC_VERSION:
		version->abi = OSQ_ABI_VERSION;
		version->schema = OSQ_SCHEMA_VERSION;
		version->reserved = 0;
		return 0;
	case OSQ_IOC_ALLOCATE:
		return do_allocate(data);
	case OSQ_IOC_MAP:
		return do_map(data);
	case OSQ_IOC_SUBSCRIBE:
		return osq_device_subscribe(&own.session, data);
	case OSQ_IOC_CAPS:
		osq_device_caps(data, (u32)page_size);
		return 0;
	case OSQ_IOC_NOTIFY:
		return osq_device_notify(&own.session, data);
	case OSQ_IOC_SYNC:
		return osq_device_sync(&own.session, data);
	case OSQ_IOC_WATCH:
		return do_watch(data);
	case OSQ_IOC_STATS:
		return do_stats(data);
	default:
		return -ENOTTY;
	}
}

/* Is this call finished, or must it try again, now or after a wait? */
enum outcome {
	OUTCOME_ANSWERED,
	OUTCOME_AGAIN,
	OUTCOME_WAIT
};

/* Context: osq_device_mutex. */
static enum outcome outcome_of(u_long command, const void *data)
{
	const struct osq_sync *sync = data;

	if (command != OSQ_IOC_SYNC || !(sync->flags & OSQ_SYNC_WAIT))
		return OUTCOME_ANSWERED;
	if (!osq_readers_is_time(&own.session.ring))
		return OUTCOME_WAIT;
	/* A record may have come after the answer was written. */
	return sync->max_pos == sync->read_pos ? OUTCOME_AGAIN
					       : OUTCOME_ANSWERED;
}

/* Sleep without osq_device_mutex, and take it again. */
static int wait_for_records(int flags)
{
	int err;

	if (flags & FNONBLOCK)
		return -EAGAIN;
	lck_mtx_unlock(osq_device_mutex);
	err = osq_readers_wait(&own.session);
	lck_mtx_lock(osq_device_mutex);
	return err;
}

static int osq_ioctl(dev_t dev, u_long command, caddr_t data, int flags,
		     struct proc *process)
{
	enum outcome outcome = OUTCOME_AGAIN;
	int err = 0;

	(void)dev;
	(void)process;
	enter_call();
	while (!err && outcome != OUTCOME_ANSWERED) {
		err = enter();
		if (!err)
			err = dispatch(command, data);
		if (!err)
			outcome = outcome_of(command, data);
		if (!err && outcome == OUTCOME_WAIT)
			err = wait_for_records(flags);
	}
	/* Waiting readers use the new latency. */
	if (command == OSQ_IOC_NOTIFY)
		osq_readers_wake();
	leave_call();
	return positive(err);
}

/* select always returns at once; see readers.c. */
static const struct cdevsw osq_cdevsw = {
	.d_open = osq_open,
	.d_close = osq_close,
	.d_read = (read_write_fcn_t *)(void *)enodev,
	.d_write = (read_write_fcn_t *)(void *)enodev,
	.d_ioctl = osq_ioctl,
	.d_stop = (stop_fcn_t *)(void *)enodev,
	.d_reset = (reset_fcn_t *)(void *)enodev,
	.d_select = (select_fcn_t *)(void *)enodev,
	.d_mmap = (mmap_fcn_t *)(void *)enodev,
	.d_strategy = (strategy_fcn_t *)(void *)enodev_strat,
	.d_reserved_1 = (rsvd_fcn_t *)(void *)enodev,
	.d_reserved_2 = (rsvd_fcn_t *)(void *)enodev,
};

/*
 * osq_device_register - make the node, when everything that it uses is ready.
 *
 * Context: may sleep.
 * Return: 0; -ENOSPC when there is no slot, -ENOMEM when there is no node.
 */
int osq_device_register(void)
{
	memset(&device, 0, sizeof(device));
	memset(&own, 0, sizeof(own));
	own.session.queue = OSQ_QUEUE_LEFT;
	is_open = false;
	is_closing = false;
	inside = 0;
	slot = cdevsw_add(-1, &osq_cdevsw);
	if (slot < 0)
		return -ENOSPC;
	node = devfs_make_node(makedev(slot, 0), DEVFS_CHAR, 0, 0, 0600,
			       OSQ_NODE);
	if (node)
		return 0;
	cdevsw_remove(slot, &osq_cdevsw);
	return -ENOMEM;
}

/* Return when no call is inside and none can come any more. */
static void drain(void)
{
	do
		IOSleep(DRAIN_MS);
	while (__atomic_load_n(&inside, __ATOMIC_SEQ_CST));
}

/*
 * osq_device_unregister - remove the node, unless it is in use.
 *
 * XNU does not wait for an open that is about to call osq_open; such an open
 * is refused, and has DRAIN_MS to get there.
 * Context: may sleep.
 * Return: 0, and no call will come; -EBUSY, and nothing has changed.
 */
int osq_device_unregister(void)
{
	lck_mtx_lock(osq_device_mutex);
	is_closing = !is_open && !__atomic_load_n(&inside, __ATOMIC_SEQ_CST);
	lck_mtx_unlock(osq_device_mutex);
	if (!is_closing)
		return -EBUSY;
	devfs_remove(node);
	cdevsw_remove(slot, &osq_cdevsw);
	drain();
	return 0;
}
