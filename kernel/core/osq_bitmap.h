/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * osq_bitmap.h - bitmaps about the ring's records, one bit for 8 bytes.
 *
 * Positions only grow; a bitmap wraps, as the ring's memory does.
 * The caller of every function holds ring->lock.
 */
#ifndef OSQ_BITMAP_H
#define OSQ_BITMAP_H

#include "osq_ring.h"

#define OSQ_WORD_BITS 64u

/*
 * At most this many words of a bitmap, and the bytes that they stand for, are
 * processed while the lock is held and interrupts are off. That takes some
 * microseconds.
 */
#define OSQ_SLICE_WORDS 1024u
#define OSQ_SLICE_BYTES \
	((u64)OSQ_SLICE_WORDS * OSQ_WORD_BITS * OSQ_RECORD_ALIGN)

/* osq_ring.c */
bool osq_ring_advance(struct osq_ring *ring);

static inline u64 osq_bit_of(const struct osq_ring *ring, u64 pos)
{
	return (pos & (ring->size - 1)) / OSQ_RECORD_ALIGN;
}

static inline void osq_bit_set(u64 *map, u64 bit)
{
	map[bit / OSQ_WORD_BITS] |= 1ull << (bit % OSQ_WORD_BITS);
}

static inline void osq_bit_clear(u64 *map, u64 bit)
{
	map[bit / OSQ_WORD_BITS] &= ~(1ull << (bit % OSQ_WORD_BITS));
}

static inline bool osq_bit_test(const u64 *map, u64 bit)
{
	return map[bit / OSQ_WORD_BITS] >> (bit % OSQ_WORD_BITS) & 1;
}

/*
 * osq_bit_run - the bits of @pos's word from @pos up to @end.
 * @mask: set to those bits.
 *
 * Return: the position after them.
 */
static inline u64 osq_bit_run(const struct osq_ring *ring, u64 pos, u64 end,
			      u64 *mask)
{
	u64 first = osq_bit_of(ring, pos) % OSQ_WORD_BITS;
	u64 count = (end - pos) / OSQ_RECORD_ALIGN;

	if (count > OSQ_WORD_BITS - first)
		count = OSQ_WORD_BITS - first;
	*mask = (~0ull >> (OSQ_WORD_BITS - count)) << first;
	return pos + count * OSQ_RECORD_ALIGN;
}

/*
 * osq_bit_next - return the position of the next set bit of @map, or @end.
 *
 * No bit is set between @end and the oldest record, where the ring is free.
 * One step looks at 64 bits.
 */
static inline u64 osq_bit_next(const struct osq_ring *ring, const u64 *map,
			       u64 pos, u64 end)
{
	pos += OSQ_RECORD_ALIGN;
	while (pos < end) {
		u64 bit = osq_bit_of(ring, pos);
		u64 word = map[bit / OSQ_WORD_BITS] >> (bit % OSQ_WORD_BITS);

		if (word)
			return pos +
			       (u64)__builtin_ctzll(word) * OSQ_RECORD_ALIGN;
		pos += (OSQ_WORD_BITS - bit % OSQ_WORD_BITS) * OSQ_RECORD_ALIGN;
	}
	return end;
}

#endif
