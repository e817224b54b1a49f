// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * osq_ring.c - reserve, commit, sync; see osq_ring.h for the contract.
 *
 * Two private bitmaps hold what the ring decides by: where records begin and
 * which of them are still open. One bit stands for 8 bytes, the alignment of
 * a record. Positions only grow and are masked on use. Since the memory is
 * mapped twice in a row, a record never has to be split or a rest skipped:
 * what fits in the free bytes fits, wherever the ring stands.
 */
#include "osq_ring.h"

#define WORD_BITS 64u

static u64 bit_of(const struct osq_ring *ring, u64 pos)
{
	return (pos & (ring->size - 1)) / OSQ_RECORD_ALIGN;
}

static void bit_set(u64 *map, u64 bit)
{
	map[bit / WORD_BITS] |= 1ull << (bit % WORD_BITS);
}

static void bit_clear(u64 *map, u64 bit)
{
	map[bit / WORD_BITS] &= ~(1ull << (bit % WORD_BITS));
}

static bool bit_test(const u64 *map, u64 bit)
{
	return map[bit / WORD_BITS] >> (bit % WORD_BITS) & 1;
}

/*
 * next_start - where the record after the one at @pos begins.
 *
 * Context: ring->lock is held; there is a record at @pos, and it is not the
 * last one before @end.
 */
static u64 next_start(const struct osq_ring *ring, u64 pos, u64 end)
{
	pos += OSQ_RECORD_ALIGN;
	while (pos < end) {
		u64 bit = bit_of(ring, pos);
		u64 word = ring->starts[bit / WORD_BITS] >> (bit % WORD_BITS);

		if (word) {
			pos += (u64)__builtin_ctzll(word) * OSQ_RECORD_ALIGN;
			return pos < end ? pos : end;
		}
		pos += (WORD_BITS - bit % WORD_BITS) * OSQ_RECORD_ALIGN;
	}
	return end;
}

/*
 * osq_ring_init - make an empty ring over @size bytes at @data.
 * @data: mapped twice in a row, so 2 * @size bytes can be touched; zeroed.
 *
 * Context: may sleep.
 * Return: 0; -EINVAL for a size that is no power of two or out of bounds;
 * -ENOMEM.
 */
int osq_ring_init(struct osq_ring *ring, void *data, u64 size)
{
	size_t map_bytes = size / OSQ_RECORD_ALIGN / 8;

	if (size < OSQ_RING_MIN_BYTES || size > OSQ_RING_MAX_BYTES)
		return -EINVAL;
	if (size & (size - 1))
		return -EINVAL;
	osq_os_memset(ring, 0, sizeof(*ring));
	ring->starts = osq_os_alloc(map_bytes);
	ring->open = osq_os_alloc(map_bytes);
	if (!ring->starts || !ring->open) {
		osq_ring_deinit(ring);
		return -ENOMEM;
	}
	osq_os_lock_init(&ring->lock);
	ring->data = data;
	ring->size = size;
	return 0;
}

/*
 * osq_ring_deinit - free what osq_ring_init allocated, not the ring's memory.
 *
 * Context: may sleep. No writer and no reader may be in the ring.
 */
void osq_ring_deinit(struct osq_ring *ring)
{
	osq_os_free(ring->starts);
	osq_os_free(ring->open);
	ring->starts = NULL;
	ring->open = NULL;
}

/*
 * osq_ring_reserve - claim space for one record.
 * @len: of the whole record, a multiple of 8, up to OSQ_RECORD_MAX_BYTES.
 *
 * Context: any, interrupts included; takes ring->lock.
 * Return: 0, and @slot is to be committed before the caller may be
 * interrupted for long, since later records wait for it; -ENOSPC when the
 * ring is full; -E2BIG when @len could never fit. A failure is counted.
 */
int osq_ring_reserve(struct osq_ring *ring, u32 len, struct osq_slot *slot)
{
	osq_os_irq_t irq = osq_os_lock(&ring->lock);
	int err = 0;

	ring->attempts++;
	if (len < sizeof(struct osq_record) || len % OSQ_RECORD_ALIGN ||
	    len > OSQ_RECORD_MAX_BYTES || len > ring->size) {
		ring->dropped[OSQ_DROP_TOO_BIG]++;
		err = -E2BIG;
	} else if (ring->size - (ring->write_pos - ring->read_pos) < len) {
		ring->dropped[OSQ_DROP_FULL]++;
		err = -ENOSPC;
	} else {
		slot->pos = ring->write_pos;
		slot->seq = ring->attempts;
		slot->ts_boot_ns = osq_os_boot_ns();
		slot->data = ring->data + (slot->pos & (ring->size - 1));
		bit_set(ring->starts, bit_of(ring, slot->pos));
		bit_set(ring->open, bit_of(ring, slot->pos));
		ring->write_pos += len;
	}
	osq_os_unlock(&ring->lock, irq);
	return err;
}

/*
 * osq_ring_commit - let the reader have a record that is written.
 *
 * The lock orders the record's bytes before commit_pos: the reader learns
 * commit_pos under the same lock in osq_ring_sync.
 *
 * Context: as osq_ring_reserve.
 */
void osq_ring_commit(struct osq_ring *ring, const struct osq_slot *slot)
{
	osq_os_irq_t irq = osq_os_lock(&ring->lock);

	bit_clear(ring->open, bit_of(ring, slot->pos));
	ring->committed++;
	while (ring->commit_pos < ring->write_pos &&
	       !bit_test(ring->open, bit_of(ring, ring->commit_pos)))
		ring->commit_pos =
			next_start(ring, ring->commit_pos, ring->write_pos);
	osq_os_unlock(&ring->lock, irq);
}

/*
 * osq_ring_drop - count an attempt that never came to a reservation.
 *
 * Context: as osq_ring_reserve.
 */
void osq_ring_drop(struct osq_ring *ring, enum osq_drop reason)
{
	osq_os_irq_t irq = osq_os_lock(&ring->lock);

	ring->attempts++;
	ring->dropped[reason]++;
	osq_os_unlock(&ring->lock, irq);
}

/*
 * osq_ring_put - reserve, copy and commit one encoded record.
 * @record: its len is set; seq, ts_boot_ns, pos and ring_id are filled in.
 *
 * Context: as osq_ring_reserve, preemption off.
 * Return: as osq_ring_reserve.
 */
int osq_ring_put(struct osq_ring *ring, struct osq_record *record)
{
	struct osq_slot slot;
	int err = osq_ring_reserve(ring, record->len, &slot);

	if (err)
		return err;
	record->seq = slot.seq;
	record->ts_boot_ns = slot.ts_boot_ns;
	record->pos = slot.pos;
	record->ring_id = 0;
	osq_os_memcpy(slot.data, record, record->len);
	osq_ring_commit(ring, &slot);
	return 0;
}

/* Free the records before @read_pos. Context: ring->lock is held. */
static void release(struct osq_ring *ring, u64 read_pos)
{
	while (ring->read_pos < read_pos) {
		u64 next = next_start(ring, ring->read_pos, read_pos);

		bit_clear(ring->starts, bit_of(ring, ring->read_pos));
		ring->read_pos = next;
		ring->consumed++;
	}
}

/*
 * osq_ring_sync - free what was read, and tell what may be read.
 * @read_pos: the reader's word; a record's boundary that it could know of.
 * @out: the positions and counters of one moment.
 *
 * Context: any; takes ring->lock.
 * Return: 0; -EINVAL for any other position, and then nothing has changed.
 */
int osq_ring_sync(struct osq_ring *ring, u64 read_pos, struct osq_sync *out)
{
	osq_os_irq_t irq = osq_os_lock(&ring->lock);
	bool known = read_pos >= ring->read_pos && read_pos <= ring->commit_pos;
	u64 dropped = 0;
	bool boundary = read_pos == ring->commit_pos ||
			(read_pos % OSQ_RECORD_ALIGN == 0 &&
			 bit_test(ring->starts, bit_of(ring, read_pos)));
	int err = known && boundary ? 0 : -EINVAL;
	int reason;

	if (!err) {
		release(ring, read_pos);
		out->max_pos = ring->commit_pos;
		out->attempts = ring->attempts;
		out->committed = ring->committed;
		out->consumed = ring->consumed;
		out->pending = ring->committed - ring->consumed;
		for (reason = 0; reason < OSQ_DROP_COUNT; reason++) {
			out->dropped[reason] = ring->dropped[reason];
			dropped += ring->dropped[reason];
		}
		out->in_flight = ring->attempts - ring->committed - dropped;
	}
	osq_os_unlock(&ring->lock, irq);
	return err;
}

/* osq_ring_readable - is there a record that was not read? Any context. */
bool osq_ring_readable(struct osq_ring *ring)
{
	osq_os_irq_t irq = osq_os_lock(&ring->lock);
	bool readable = ring->commit_pos != ring->read_pos;

	osq_os_unlock(&ring->lock, irq);
	return readable;
}
