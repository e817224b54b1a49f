// SPDX-License-Identifier: GPL-2.0-only
/*
 * readers.c - wake the readers that wait for records.
 *
 * A publisher may hold the runqueue's locks, so it cannot wake a process
 * itself: it queues irq_work. When the reader has set a latency, the first
 * record of a batch starts a timer instead, by way of a second irq_work.
 */
#include <linux/atomic.h>
#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/poll.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "osq_linux.h"

DECLARE_WAIT_QUEUE_HEAD(osq_readers);
static atomic64_t wakeups;
static u64 late_ns; /* what arm_work arms late_work with */

void osq_readers_wake(void)
{
	atomic64_inc(&wakeups);
	wake_up_interruptible(&osq_readers);
}

u64 osq_readers_wakeups(void)
{
	return atomic64_read(&wakeups);
}

static void on_wake(struct irq_work *work)
{
	osq_readers_wake();
}

static void on_late(struct work_struct *work)
{
	osq_readers_wake();
}

static DECLARE_DELAYED_WORK(late_work, on_late);

static unsigned long delay_of(u64 wait_ns)
{
	return nsecs_to_jiffies(wait_ns) + 1;
}

/*
 * While late_work is pending nothing is done: it was started for an older
 * record, so it runs early, and the reader that it wakes starts it again.
 */
static void on_arm(struct irq_work *work)
{
	schedule_delayed_work(&late_work, delay_of(READ_ONCE(late_ns)));
}

static DEFINE_IRQ_WORK(wake_work, on_wake);
static DEFINE_IRQ_WORK(arm_work, on_arm);

/*
 * osq_readers_after_commit - wake a reader after a record, if it is time.
 *
 * No wakeup is lost. A reader enters the wait queue and then looks at the ring
 * under ring->lock (osq_readers_is_time). A publisher commits under ring->lock
 * and then looks at the wait queue, here. Whichever takes the lock second sees
 * what the other did before its own turn: the reader the record, or the
 * publisher the reader; the lock's release and acquire are the pair.
 * wq_has_sleeper() has a full barrier between the commit's unlock and the look
 * at the queue, which an unlock alone would not be. tests/core/ wakeup.pml is
 * this protocol as a model, and fails without either half.
 *
 * Context: any but NMI.
 */
void osq_readers_after_commit(struct osq_ring *ring)
{
	u64 wait_ns;

	if (!wq_has_sleeper(&osq_readers))
		return;
	switch (osq_ring_ready(ring, &wait_ns)) {
	case OSQ_READY_NOW:
		irq_work_queue(&wake_work);
		break;
	case OSQ_READY_LATER:
		if (delayed_work_pending(&late_work))
			break;
		WRITE_ONCE(late_ns, wait_ns);
		irq_work_queue(&arm_work);
		break;
	case OSQ_READY_NOTHING:
		break;
	}
}

/*
 * osq_readers_is_time - is it time to read? If not, make sure of a wakeup.
 *
 * The caller is in osq_readers already: that is the other half of the pair in
 * osq_readers_after_commit. It sets the timer again even if it runs: a
 * publisher that had looked before a NOTIFY may have started it for the longer
 * latency. Context: process; does not sleep.
 */
bool osq_readers_is_time(struct osq_ring *ring)
{
	u64 wait_ns;
	enum osq_ready ready = osq_ring_ready(ring, &wait_ns);

	if (ready == OSQ_READY_LATER)
		mod_delayed_work(osq_wq, &late_work, delay_of(wait_ns));
	return ready == OSQ_READY_NOW;
}

/*
 * osq_readers_renew - the latency has changed: let all readers look again.
 *
 * A running timer was started for the old latency, perhaps by an earlier
 * session; the readers that wait start it again. May sleep.
 */
void osq_readers_renew(void)
{
	irq_work_sync(&arm_work);
	cancel_delayed_work(&late_work);
	osq_readers_wake();
}

/* osq_readers_sync - return when no wakeup is pending. May sleep. */
void osq_readers_sync(void)
{
	irq_work_sync(&wake_work);
	irq_work_sync(&arm_work);
	cancel_delayed_work_sync(&late_work);
}
