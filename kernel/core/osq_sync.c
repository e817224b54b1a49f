// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osq_sync.c - the reader's side of the ring: free what was read, return
 * positions and counters, and decide when it is time to read.
 */
#include "osq_bitmap.h"

#define NS_PER_MS 1000000ull

/*
 * Free the records before @read_pos, a boundary: 64 bits at a time, and no
 * more than a slice. In between read_pos may be within a record; only the
 * caller of sync could see that, and there is only one.
 *
 * Context: lock is held.
 * Return: true when there is a rest.
 */
static bool release(struct osq_ring *ring, u64 read_pos)
{
	u32 words;

	for (words = 0; words < OSQ_SLICE_WORDS && ring->read_pos < read_pos;
	     words++) {
		u64 word = osq_bit_of(ring, ring->read_pos) / OSQ_WORD_BITS;
		u64 mask;

		ring->read_pos =
			osq_bit_run(ring, ring->read_pos, read_pos, &mask);
		ring->count.consumed +=
			(u64)osq_os_popcount(ring->starts[word] & mask);
		ring->count.consumed -=
			(u64)osq_os_popcount(ring->dead[word] & mask);
		ring->starts[word] &= ~mask;
		ring->dead[word] &= ~mask;
	}
	return ring->read_pos < read_pos;
}

/* Is @pos a boundary that the reader may know? Context: lock is held. */
static bool is_boundary(const struct osq_ring *ring, u64 pos)
{
	if (pos < ring->read_pos || pos > ring->commit_pos)
		return false;
	if (pos == ring->commit_pos)
		return true;
	return pos % OSQ_RECORD_ALIGN == 0 &&
	       osq_bit_test(ring->starts, osq_bit_of(ring, pos));
}

/* Return how many records are reserved now. Context: lock is held. */
static u64 in_flight(const struct osq_counters *count)
{
	u64 open = count->attempts - count->committed;
	int reason;

	for (reason = 0; reason < OSQ_DROP_COUNT; reason++)
		open -= count->dropped[reason];
	return open;
}

static u64 filtered_of_all(const struct osq_ring *ring)
{
	u64 sum = 0;
	int type;

	for (type = 0; type < OSQ_TYPE_COUNT; type++)
		sum += osq_os_count(&ring->count.filtered_of[type]);
	return sum;
}

/* Fill in the current positions and counters. Context: lock is held. */
static void snapshot(const struct osq_ring *ring, struct osq_sync *out)
{
	const struct osq_counters *count = &ring->count;

	out->max_pos = ring->commit_pos;
	out->attempts = count->attempts;
	out->committed = count->committed;
	out->consumed = count->consumed;
	out->reset = count->reset;
	out->pending = count->committed - count->consumed - count->reset;
	out->in_flight = in_flight(count);
	osq_os_memcpy(out->dropped, count->dropped, sizeof(out->dropped));
	out->filtered = filtered_of_all(ring);
	osq_os_memset(out->reserved, 0, sizeof(out->reserved));
	osq_os_memcpy(out->dropped_of, count->dropped_of,
		      sizeof(out->dropped_of));
}

/*
 * osq_ring_sync - free what was read, and return what may be read.
 * @read_pos: from the reader; must be a record's boundary that it may know.
 * @out: the positions and counters of one moment.
 *
 * Writers get the lock between two slices.
 * Context: any that can be interrupted; one caller at a time; takes ring->lock.
 * Return: 0; -EINVAL for any other position, and then nothing has changed.
 */
int osq_ring_sync(struct osq_ring *ring, u64 read_pos, struct osq_sync *out)
{
	u64 time_ns = osq_os_boot_ns();
	osq_os_irq_t irq = osq_os_lock(&ring->lock);

	if (!is_boundary(ring, read_pos)) {
		osq_os_unlock(&ring->lock, irq);
		return -EINVAL;
	}
	/*
	 * The reader knows of the remaining records: the latency begins again.
	 */
	if (ring->read_pos != read_pos)
		ring->waiting_since_ns = time_ns;
	while (release(ring, read_pos) || osq_ring_advance(ring)) {
		osq_os_unlock(&ring->lock, irq);
		irq = osq_os_lock(&ring->lock);
	}
	snapshot(ring, out);
	osq_os_unlock(&ring->lock, irq);
	return 0;
}

/*
 * osq_ring_stats - return all counters of one moment.
 * @out: zeroed; ring_bytes to reset, type and filtered are filled in.
 *
 * Context: any; takes ring->lock.
 */
void osq_ring_stats(struct osq_ring *ring, struct osq_stats *out)
{
	const struct osq_counters *count = &ring->count;
	osq_os_irq_t irq = osq_os_lock(&ring->lock);
	int type;

	out->ring_bytes = ring->size;
	out->unread_bytes = ring->commit_pos - ring->read_pos;
	out->attempts = count->attempts;
	out->committed = count->committed;
	out->consumed = count->consumed;
	out->reset = count->reset;
	out->pending = count->committed - count->consumed - count->reset;
	out->in_flight = in_flight(count);
	osq_os_memcpy(out->type, count->type, sizeof(out->type));
	osq_os_unlock(&ring->lock, irq);
	for (type = 0; type < OSQ_TYPE_COUNT; type++)
		out->filtered[type] =
			osq_os_count(&ring->count.filtered_of[type]);
}

/*
 * osq_ring_notify - set when the reader is to be woken.
 *
 * Context: any; takes ring->lock. The caller wakes waiting readers.
 * Return: 0; -EINVAL for a watermark of 0 or above the ring's size, or a
 * latency that is too long, or that is missing where it is needed.
 */
int osq_ring_notify(struct osq_ring *ring, const struct osq_notify *notify)
{
	osq_os_irq_t irq;

	if (!notify->watermark_bytes || notify->watermark_bytes > ring->size ||
	    notify->latency_ms > OSQ_LATENCY_MAX_MS ||
	    (notify->watermark_bytes > 1 && !notify->latency_ms))
		return -EINVAL;
	irq = osq_os_lock(&ring->lock);
	ring->watermark = notify->watermark_bytes;
	ring->latency_ns = notify->latency_ms * NS_PER_MS;
	osq_os_unlock(&ring->lock, irq);
	return 0;
}

/*
 * osq_ring_ready - is it time to read?
 * @wait_ns: until it is, when the answer is OSQ_READY_LATER.
 *
 * Context: any; takes ring->lock.
 */
enum osq_ready osq_ring_ready(struct osq_ring *ring, u64 *wait_ns)
{
	u64 time_ns = osq_os_boot_ns();
	osq_os_irq_t irq = osq_os_lock(&ring->lock);
	u64 unread = ring->commit_pos - ring->read_pos;
	u64 due_ns = ring->waiting_since_ns + ring->latency_ns;
	enum osq_ready ready = OSQ_READY_NOW;

	if (!unread) {
		ready = OSQ_READY_NOTHING;
	} else if (unread < ring->watermark && !ring->lost.first_seq &&
		   time_ns < due_ns) {
		ready = OSQ_READY_LATER;
		*wait_ns = due_ns - time_ns;
	}
	osq_os_unlock(&ring->lock, irq);
	return ready;
}
