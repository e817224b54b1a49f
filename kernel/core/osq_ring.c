// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osq_ring.c - the writers' side: reserve, copy, commit; the contract is in
 * osq_ring.h, the reader's side in osq_sync.c, and memory in osq_open.c.
 *
 * The ring decides by three private bitmaps: where records begin, which of
 * them are still being written, and which were discarded. One bit stands
 * for 8 bytes, the alignment of a record. Positions only grow and are masked
 * on use. Since the memory is mapped twice in a row, a record is never split
 * at the end: what fits into the free bytes fits at every position.
 *
 * Only the lock orders accesses. A writer writes before its commit takes the
 * lock; the reader sees the bytes by a commit_pos that it reads under the
 * lock later. A reader finishes with bytes before its sync takes the
 * lock; a writer gets them by a read_pos that it reads under the lock later.
 */
#include "osq_bitmap.h"

/*
 * Order by time, too. @ts_boot_ns: read before the lock was taken, so that
 * nobody waits for a clock. Context: lock is held.
 */
static u64 in_order(struct osq_ring *ring, u64 ts_boot_ns)
{
	if (ring->last_ts_boot_ns < ts_boot_ns)
		ring->last_ts_boot_ns = ts_boot_ns;
	return ring->last_ts_boot_ns;
}

static u64 kept_from_rank(const struct osq_ring *ring, enum osq_rank rank)
{
	switch (rank) {
	case OSQ_RANK_ANY:
		return ring->kept;
	case OSQ_RANK_CRED:
		return ring->kept / 2;
	default:
		return 0;
	}
}

/* Return how many bytes such a record must leave. Context: lock is held. */
static u64 kept_from(const struct osq_ring *ring, u16 type, enum osq_rank rank)
{
	u64 kept = kept_from_rank(ring, rank);

	/*
	 * Both parts are kept at the same end of the ring, so the larger one
	 * contains the smaller one.
	 */
	return kept > ring->kept_of[type] ? kept : ring->kept_of[type];
}

/* Count @count attempts that left no record. Context: lock is held. */
static void note_drop(struct osq_ring *ring, u16 type, enum osq_drop reason,
		      u64 count, u64 ts_boot_ns)
{
	struct osq_counters *total = &ring->count;
	struct osq_lost *lost = &ring->lost;

	lost->last_ts_boot_ns = in_order(ring, ts_boot_ns);
	if (!lost->first_seq) {
		lost->first_seq = total->attempts + 1;
		lost->first_ts_boot_ns = lost->last_ts_boot_ns;
	}
	total->attempts += count;
	total->dropped[reason] += count;
	total->dropped_of[type] += count;
	total->type[type].attempts += count;
	total->type[type].dropped[reason] += count;
	lost->last_seq = total->attempts;
	lost->dropped[reason] += count;
	lost->types |= 1ull << type;
}

/* Reserve @len bytes, which must be free. Context: lock is held. */
static void claim(struct osq_ring *ring, u16 type, u32 len, u64 ts_boot_ns,
		  struct osq_slot *slot)
{
	slot->len = len;
	slot->type = type;
	slot->pos = ring->write_pos;
	slot->seq = ++ring->count.attempts;
	slot->ts_boot_ns = in_order(ring, ts_boot_ns);
	slot->data = ring->data + (slot->pos & (ring->size - 1));
	ring->count.type[type].attempts++;
	osq_bit_set(ring->starts, osq_bit_of(ring, slot->pos));
	ring->write_pos += len;
}

static void count_committed(struct osq_ring *ring, u16 type)
{
	ring->count.committed++;
	ring->count.type[type].committed++;
}

/* The latency of an empty ring begins now. Context: lock is held. */
static void begin_waiting(struct osq_ring *ring)
{
	if (ring->commit_pos == ring->read_pos)
		ring->waiting_since_ns = ring->last_ts_boot_ns;
}

/*
 * osq_ring_advance - show the reader all records up to the first busy one.
 *
 * After a record that was busy for long, the whole ring may be complete. One
 * call processes one slice only; later calls process the rest: each commit
 * makes one call, and each sync makes as many as are needed.
 *
 * Context: lock is held.
 * Return: true when there is a rest.
 */
bool osq_ring_advance(struct osq_ring *ring)
{
	u64 from = ring->commit_pos;
	u64 end = ring->write_pos;

	if (from == end || osq_bit_test(ring->busy, osq_bit_of(ring, from)))
		return false;
	begin_waiting(ring);
	if (end - from > OSQ_SLICE_BYTES) {
		u64 cut = osq_bit_next(ring, ring->starts,
				       from + OSQ_SLICE_BYTES, end);

		/*
		 * The bitmap is circular: in the word of @end, later bits are
		 * those of the oldest records.
		 */
		if (cut < end)
			end = cut;
	}
	from = osq_bit_next(ring, ring->busy, from, end);
	ring->commit_pos = from < end ? from : end;
	return from >= end && end != ring->write_pos;
}

/*
 * Show the reader the record at @slot, which is no longer busy. Nearly always
 * it is the only one that is not shown, and no bitmap has to be searched.
 *
 * Context: lock is held.
 */
static void show(struct osq_ring *ring, const struct osq_slot *slot)
{
	if (ring->commit_pos != slot->pos ||
	    ring->write_pos != slot->pos + slot->len) {
		osq_ring_advance(ring);
		return;
	}
	begin_waiting(ring);
	ring->commit_pos = ring->write_pos;
}

/* Put a LOST record, for which there is room. Context: lock is held. */
static void put_lost(struct osq_ring *ring, u64 ts_boot_ns)
{
	struct osq_lost *lost = &ring->lost;
	struct osq_slot slot;

	claim(ring, OSQ_TYPE_LOST, sizeof(*lost), ts_boot_ns, &slot);
	lost->head.len = slot.len;
	lost->head.type = OSQ_TYPE_LOST;
	lost->head.seq = slot.seq;
	lost->head.ts_boot_ns = slot.ts_boot_ns;
	lost->head.pos = slot.pos;
	osq_os_memcpy(slot.data, lost, sizeof(*lost));
	osq_os_memset(lost, 0, sizeof(*lost));
	count_committed(ring, slot.type);
	show(ring, &slot);
}

/*
 * osq_ring_reserve - claim space for one record.
 * @type: below OSQ_TYPE_COUNT; only counted here.
 * @len: of the whole record, a multiple of 8, up to OSQ_RECORD_MAX_BYTES.
 * @rank: how much of the ring it may fill.
 *
 * After a loss the space must suffice for a LOST record, too, which is put
 * before this one. So the reader learns of a loss before any later record.
 *
 * Context: any, interrupts included; takes ring->lock.
 * Return: 0, and @slot is to be committed or discarded before the caller may
 * be interrupted for long, since later records wait for it; -ENOSPC when the
 * ring is full; -E2BIG when @len could never fit. A failure is counted.
 */
int osq_ring_reserve(struct osq_ring *ring, u16 type, u32 len,
		     enum osq_rank rank, struct osq_slot *slot)
{
	u64 ts_boot_ns = osq_os_boot_ns();
	osq_os_irq_t irq = osq_os_lock(&ring->lock);
	u64 room = ring->size - (ring->write_pos - ring->read_pos);
	u64 kept = kept_from(ring, type, rank);
	u64 need = len + kept;
	int err = 0;

	if (ring->lost.first_seq)
		need += sizeof(ring->lost);
	/*
	 * After a loss a LOST record goes before this one. A record that leaves
	 * no room for it could be refused for ever.
	 */
	if (len < sizeof(struct osq_record) || len % OSQ_RECORD_ALIGN ||
	    len > ring->record_max ||
	    len + kept + sizeof(ring->lost) > ring->size) {
		note_drop(ring, type, OSQ_DROP_TOO_BIG, 1, ts_boot_ns);
		err = -E2BIG;
	} else if (room < need) {
		note_drop(ring, type, OSQ_DROP_FULL, 1, ts_boot_ns);
		err = -ENOSPC;
	} else {
		if (ring->lost.first_seq)
			put_lost(ring, ts_boot_ns);
		claim(ring, type, len, ts_boot_ns, slot);
		osq_bit_set(ring->busy, osq_bit_of(ring, slot->pos));
	}
	osq_os_unlock(&ring->lock, irq);
	return err;
}

/*
 * osq_ring_commit - show the reader a record that has been written.
 *
 * Context: as osq_ring_reserve.
 */
void osq_ring_commit(struct osq_ring *ring, const struct osq_slot *slot)
{
	osq_os_irq_t irq = osq_os_lock(&ring->lock);

	osq_bit_clear(ring->busy, osq_bit_of(ring, slot->pos));
	count_committed(ring, slot->type);
	show(ring, slot);
	osq_os_unlock(&ring->lock, irq);
}

/*
 * osq_ring_discard - give up a reservation; it counts as dropped.
 *
 * The reader finds an OSQ_TYPE_NONE of this length and number, and passes
 * over it; no LOST record reports it again.
 *
 * Context: as osq_ring_reserve.
 */
void osq_ring_discard(struct osq_ring *ring, const struct osq_slot *slot)
{
	struct osq_record none = {
		.len = slot->len,
		.type = OSQ_TYPE_NONE,
		.seq = slot->seq,
		.ts_boot_ns = slot->ts_boot_ns,
		.pos = slot->pos,
	};
	osq_os_irq_t irq;

	osq_os_memset(slot->data, 0, slot->len);
	osq_os_memcpy(slot->data, &none, sizeof(none));
	irq = osq_os_lock(&ring->lock);
	osq_bit_clear(ring->busy, osq_bit_of(ring, slot->pos));
	osq_bit_set(ring->dead, osq_bit_of(ring, slot->pos));
	ring->count.dropped[OSQ_DROP_DISCARDED]++;
	ring->count.dropped_of[slot->type]++;
	ring->count.type[slot->type].dropped[OSQ_DROP_DISCARDED]++;
	show(ring, slot);
	osq_os_unlock(&ring->lock, irq);
}

/*
 * osq_ring_drop - count @count attempts that were dropped before a reservation.
 *
 * Context: as osq_ring_reserve.
 */
void osq_ring_drop(struct osq_ring *ring, u16 type, enum osq_drop reason,
		   u64 count)
{
	u64 ts_boot_ns = osq_os_boot_ns();
	osq_os_irq_t irq = osq_os_lock(&ring->lock);

	if (count)
		note_drop(ring, type, reason, count, ts_boot_ns);
	osq_os_unlock(&ring->lock, irq);
}

/*
 * osq_ring_filtered - count one record that a filter rejected, no attempt.
 *
 * This does not take the lock: a rejected record must not delay another one.
 * Context: as osq_ring_reserve.
 */
void osq_ring_filtered(struct osq_ring *ring, u16 type)
{
	osq_os_count_up(&ring->count.filtered_of[type]);
}

/*
 * osq_ring_put - reserve, copy and commit one encoded record.
 * @record: the caller has set its len; here len is rounded up to the
 * alignment, seq, ts_boot_ns, pos and ring_id are filled in.
 * @rank: as osq_ring_reserve.
 *
 * Context: as osq_ring_reserve, preemption off.
 * Return: as osq_ring_reserve.
 */
int osq_ring_put(struct osq_ring *ring, struct osq_record *record,
		 enum osq_rank rank)
{
	u32 used = record->len;
	u32 rest = -used % OSQ_RECORD_ALIGN;
	struct osq_slot slot;
	int err =
		osq_ring_reserve(ring, record->type, used + rest, rank, &slot);

	if (err)
		return err;
	record->len = slot.len;
	record->seq = slot.seq;
	record->ts_boot_ns = slot.ts_boot_ns;
	record->pos = slot.pos;
	record->ring_id = 0;
	osq_os_memcpy(slot.data, record, used);
	osq_os_memset(slot.data + used, 0, rest);
	osq_ring_commit(ring, &slot);
	return 0;
}
