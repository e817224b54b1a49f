// SPDX-License-Identifier: GPL-2.0-only
/*
 * readers.c - who waits for records, and when they are woken.
 *
 * A reader waits in SYNC. If it has set a latency, its own sleep ends after
 * that. select and poll report at once that the device is ready: kexts have
 * no access to what a driver needs to make them wait.
 */
#include <sys/param.h>
#include <sys/systm.h>

#include "osq_macos.h"

#define NS_PER_S 1000000000ull

static u32 sleepers; /* readers that wait; atomic */
static u32 untimed; /* those of them that sleep without a timeout; atomic */
static u64 wakeups; /* atomic */
static u32 channel; /* only its address matters */

/* osq_readers_init - begin without a waiting reader. */
void osq_readers_init(void)
{
	__atomic_store_n(&sleepers, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&untimed, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&wakeups, 0, __ATOMIC_RELAXED);
	channel = 0;
}

/*
 * osq_readers_wake - make all waiting readers check the ring again.
 *
 * Context: may sleep. By taking osq_readers_mutex a wakeup cannot come
 * between a reader's check and its sleep.
 */
void osq_readers_wake(void)
{
	lck_mtx_lock(osq_readers_mutex);
	__atomic_add_fetch(&wakeups, 1, __ATOMIC_RELAXED);
	wakeup(&channel);
	lck_mtx_unlock(osq_readers_mutex);
}

u64 osq_readers_wakeups(void)
{
	return __atomic_load_n(&wakeups, __ATOMIC_RELAXED);
}

/*
 * osq_readers_after_commit - wake a reader, if it is time to read.
 *
 * No wakeup is lost. A reader announces itself in sleepers and untimed, and
 * then checks the ring under ring->lock. A publisher commits under
 * ring->lock, and then checks the two, here. The fences order each one's
 * steps, so one of them sees the other. tests/core/wakeup.pml is the same
 * protocol as a model.
 *
 * The first record of a batch wakes a reader with a latency, which did not
 * know the latency's begin before; it sleeps again until the latency's end.
 *
 * Context: any thread; may sleep.
 */
void osq_readers_after_commit(struct osq_ring *ring)
{
	enum osq_ready ready;
	u64 wait_ns;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&sleepers, __ATOMIC_SEQ_CST))
		return;
	ready = osq_ring_ready(ring, &wait_ns);
	if (ready == OSQ_READY_NOW ||
	    (ready == OSQ_READY_LATER &&
	     __atomic_load_n(&untimed, __ATOMIC_SEQ_CST)))
		osq_readers_wake();
}

/* osq_readers_is_time - is it time to read? */
bool osq_readers_is_time(struct osq_ring *ring)
{
	u64 wait_ns;

	return osq_ring_ready(ring, &wait_ns) == OSQ_READY_NOW;
}

/*
 * Sleep until a wakeup, or for @wait_ns if it is not 0.
 *
 * Context: osq_readers_mutex is held, but not while asleep.
 * Return: 0; -EINTR for a signal.
 */
static int sleep_for(u64 wait_ns)
{
	struct timespec time = {
		.tv_sec = (long)(wait_ns / NS_PER_S),
		.tv_nsec = (long)(wait_ns % NS_PER_S),
	};
	int err = msleep(&channel, osq_readers_mutex, PZERO | PCATCH, OSQ_NAME,
			 wait_ns ? &time : NULL);

	return err && err != EWOULDBLOCK ? -EINTR : 0;
}

/* Check the ring once, and sleep if it is not time. As osq_readers_wait. */
static int wait_once(struct osq_session *session, bool *done)
{
	enum osq_ready ready;
	u64 wait_ns = 0;
	int err = 0;

	__atomic_add_fetch(&untimed, 1, __ATOMIC_SEQ_CST);
	ready = osq_ring_ready(&session->ring, &wait_ns);
	*done = ready == OSQ_READY_NOW ||
		__atomic_load_n(&session->queue, __ATOMIC_SEQ_CST) !=
			OSQ_QUEUE_VALID;
	if (ready == OSQ_READY_LATER)
		__atomic_sub_fetch(&untimed, 1, __ATOMIC_SEQ_CST);
	if (!*done)
		err = sleep_for(wait_ns);
	if (ready != OSQ_READY_LATER)
		__atomic_sub_fetch(&untimed, 1, __ATOMIC_SEQ_CST);
	return err;
}

/*
 * osq_readers_wait - return when it is time to read, or the queue has ended.
 *
 * Context: process; sleeps, without osq_device_mutex.
 * Return: 0; -EINTR for a signal.
 */
int osq_readers_wait(struct osq_session *session)
{
	bool done = false;
	int err = 0;

	lck_mtx_lock(osq_readers_mutex);
	__atomic_add_fetch(&sleepers, 1, __ATOMIC_SEQ_CST);
	while (!done && !err)
		err = wait_once(session, &done);
	__atomic_sub_fetch(&sleepers, 1, __ATOMIC_SEQ_CST);
	lck_mtx_unlock(osq_readers_mutex);
	return err;
}
