// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osq_open.c - the ring before and after its records: give it memory, take the
 * memory back, and set who may fill it.
 */
#include "osq_ring.h"

/*
 * osq_ring_init - make a ring without memory, which drops every attempt.
 *
 * Called once, before every other function; nothing has to undo it.
 */
void osq_ring_init(struct osq_ring *ring)
{
	osq_os_memset(ring, 0, sizeof(*ring));
	osq_os_lock_init(&ring->lock);
}

/*
 * osq_ring_open - make the ring an empty one over @size bytes at @data.
 * @data: mapped twice in a row, so 2 * @size bytes can be touched; zeroed.
 *
 * Counters keep their values; the reader is woken for each record
 * until osq_ring_notify changes that. Context: may sleep; the ring is
 * closed.
 * Return: 0; -EINVAL for a size that is no power of two or out of bounds;
 * -ENOMEM.
 */
int osq_ring_open(struct osq_ring *ring, void *data, u64 size)
{
	size_t map_bytes = size / OSQ_RECORD_ALIGN / 8;
	u64 room = size - sizeof(struct osq_lost);
	osq_os_irq_t irq;
	u64 *maps;

	if (size < OSQ_RING_MIN_BYTES || size > OSQ_RING_MAX_BYTES ||
	    (size & (size - 1)))
		return -EINVAL;
	maps = osq_os_alloc(3 * map_bytes);
	if (!maps)
		return -ENOMEM;
	irq = osq_os_lock(&ring->lock);
	ring->data = data;
	ring->size = size;
	ring->record_max = room < OSQ_RECORD_MAX_BYTES ? (u32)room
						       : OSQ_RECORD_MAX_BYTES;
	ring->starts = maps;
	ring->busy = maps + map_bytes / sizeof(*maps);
	ring->dead = maps + 2 * (map_bytes / sizeof(*maps));
	ring->write_pos = 0;
	ring->commit_pos = 0;
	ring->read_pos = 0;
	ring->kept = 0;
	osq_os_memset(ring->kept_of, 0, sizeof(ring->kept_of));
	ring->watermark = 1;
	ring->latency_ns = 0;
	osq_os_unlock(&ring->lock, irq);
	return 0;
}

/*
 * osq_ring_close - release the ring's memory; pending records count as reset.
 *
 * Context: may sleep. No reservation is open: the publishers have stopped.
 * The bytes at data belong to the caller. A closed ring may be closed again.
 */
void osq_ring_close(struct osq_ring *ring)
{
	osq_os_irq_t irq = osq_os_lock(&ring->lock);
	u64 *maps = ring->starts;

	ring->count.reset = ring->count.committed - ring->count.consumed;
	ring->data = NULL;
	ring->size = 0;
	ring->record_max = 0;
	ring->kept = 0;
	ring->starts = NULL;
	ring->busy = NULL;
	ring->dead = NULL;
	ring->read_pos = ring->write_pos;
	ring->commit_pos = ring->write_pos;
	osq_os_unlock(&ring->lock, irq);
	osq_os_free(maps);
}

/*
 * osq_ring_keep - keep @bytes of the ring for records of higher ranks.
 *
 * Records that any user can make in any number cannot fill these bytes; see
 * enum osq_rank. Context: the ring is open, and empty.
 */
void osq_ring_keep(struct osq_ring *ring, u64 bytes)
{
	osq_os_irq_t irq = osq_os_lock(&ring->lock);

	ring->kept = bytes;
	osq_os_unlock(&ring->lock, irq);
}

/*
 * osq_ring_share - let records of @type fill the ring up to @percent only.
 *
 * The rest is for other types. Context: any; takes ring->lock.
 * Return: 0; -EINVAL for a share of nothing, or of more than all.
 */
int osq_ring_share(struct osq_ring *ring, u32 type, u32 percent)
{
	osq_os_irq_t irq;

	if (!percent || percent > 100)
		return -EINVAL;
	irq = osq_os_lock(&ring->lock);
	ring->kept_of[type] = ring->size / 100 * (100 - percent);
	osq_os_unlock(&ring->lock, irq);
	return 0;
}
