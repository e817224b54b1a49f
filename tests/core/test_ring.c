// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* test_ring.c - tests of osq_ring that need only one thread. */
#include "fixture.h"

/* Consume all records; return the sync after that. */
static struct osq_sync drain(struct osq_ring *ring)
{
	struct osq_sync sync = { 0 };

	osq_ring_sync(ring, ring->read_pos, &sync);
	osq_ring_sync(ring, sync.max_pos, &sync);
	return sync;
}

/* A size that is no power of two or out of bounds gives -EINVAL. */
static void test_open_refuses_a_wrong_size(void)
{
	static const u64 wrong[] = {
		0, 1, 4096, 8191, 12288, 8193, OSQ_RING_MAX_BYTES * 2ull, ~0ull
	};
	struct osq_ring ring;
	u64 byte;
	size_t i;

	osq_ring_init(&ring);

	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		EXPECT_EQ(osq_ring_open(&ring, &byte, wrong[i]), -EINVAL);
}

/* A full ring gives -ENOSPC, changes nothing in it and counts the drop. */
static void test_reserve_fails_when_full_and_counts(void)
{
	struct osq_sync sync;
	struct osq_ring ring;
	int i;

	ring_setup(&ring, SMALL);

	for (i = 0; i < 8; i++)
		EXPECT_EQ(put_marked(&ring, 1024, 1), 0);
	EXPECT_EQ(put_marked(&ring, 64, 2), -ENOSPC);

	EXPECT_EQ(osq_ring_sync(&ring, 0, &sync), 0);
	EXPECT_EQ(sync.dropped[OSQ_DROP_FULL], 1);
	EXPECT_EQ(sync.attempts, 9);
	EXPECT_EQ(sync.pending, 8);
	EXPECT(counters_add_up(&sync));
	ring_teardown(&ring);
}

/* A length that can never fit, or is too short, gives -E2BIG. */
static void test_length_that_can_never_fit_is_too_big(void)
{
	static const u32 wrong[] = { 0,		  8,
				     56,	  65,
				     100,	  SMALL,
				     SMALL - 160, OSQ_RECORD_MAX_BYTES + 8,
				     ~7u };
	size_t count = sizeof(wrong) / sizeof(*wrong);
	struct osq_slot slot;
	struct osq_ring ring;
	size_t i;

	ring_setup(&ring, SMALL);

	for (i = 0; i < count; i++)
		EXPECT_EQ(osq_ring_reserve(&ring, OSQ_TYPE_EXEC, wrong[i],
					   OSQ_RANK_ANY, &slot),
			  -E2BIG);

	EXPECT_EQ(ring.count.dropped[OSQ_DROP_TOO_BIG], count);
	EXPECT_EQ(ring.write_pos, 0);
	ring_teardown(&ring);
}

/* The largest record fits into an empty ring at any position (B5). */
static void test_a_record_that_fits_the_empty_ring_is_accepted(void)
{
	struct osq_ring ring;
	u32 offset;

	ring_setup(&ring, SMALL);

	for (offset = 0; offset < SMALL; offset += 8) {
		EXPECT_EQ(put_marked(&ring, 64 + offset % 512, 1), 0);
		drain(&ring);
		EXPECT_EQ(put_marked(&ring, ring.record_max, 2), 0);
		drain(&ring);
	}

	EXPECT_EQ(ring.count.dropped[OSQ_DROP_FULL], 0);
	EXPECT_EQ(ring.count.consumed, ring.count.attempts);
	ring_teardown(&ring);
}

/* The largest record fits together with the LOST record before it. */
static void test_the_largest_record_fits_after_a_loss(void)
{
	struct osq_ring ring;

	ring_setup(&ring, SMALL);
	osq_ring_drop(&ring, OSQ_TYPE_EXEC, OSQ_DROP_NESTED, 1);

	EXPECT_EQ(put_marked(&ring, ring.record_max, 2), 0);

	EXPECT_EQ(record_at(&ring, 0)->type, OSQ_TYPE_LOST);
	EXPECT_EQ(drain(&ring).consumed, 2);
	ring_teardown(&ring);
}

/* A record across the end is contiguous for the reader, and aligned (B8). */
static void test_a_record_across_the_end_is_whole(void)
{
	const struct osq_record *record;
	struct osq_ring ring;
	u64 pos;
	u32 i;

	ring_setup(&ring, SMALL);
	EXPECT_EQ(put_marked(&ring, 5000, 1), 0);
	pos = drain(&ring).max_pos;

	EXPECT_EQ(put_marked(&ring, 4001, 7), 0);

	record = record_at(&ring, pos);
	EXPECT_EQ(pos % 8, 0);
	EXPECT_EQ(record->len, 4008);
	EXPECT_EQ(record->pos, pos);
	for (i = sizeof(*record); i < 4001; i++)
		EXPECT_EQ(((const u8 *)record)[i], 7);
	ring_teardown(&ring);
}

/* The padding of a record is zero, whatever the ring held before (B9). */
static void test_padding_is_zero(void)
{
	struct osq_ring ring;
	const u8 *bytes;
	u64 pos;
	u32 rest;

	ring_setup(&ring, SMALL);
	memset(ring.data, 0xff, SMALL);

	for (rest = 1; rest < 8; rest++) {
		pos = ring.write_pos;
		EXPECT_EQ(put_marked(&ring, 128 + rest, 0xee), 0);
		bytes = (const u8 *)record_at(&ring, pos);
		EXPECT_EQ(ring.write_pos - pos, 136);
		for (u32 i = 128 + rest; i < 136; i++)
			EXPECT_EQ(bytes[i], 0);
	}
	ring_teardown(&ring);
}

/* A position that is no boundary is refused and changes nothing (B3, B4). */
static void test_a_position_that_is_no_boundary_changes_nothing(void)
{
	struct osq_sync sync, untouched;
	struct osq_ring ring, before;
	u64 pos;

	ring_setup(&ring, SMALL);
	put_marked(&ring, 128, 1);
	drain(&ring);
	put_marked(&ring, 128, 1);
	put_marked(&ring, 256, 1);
	memset(&untouched, 0x5a, sizeof(untouched));
	before = ring;

	for (pos = 0; pos < 3 * SMALL; pos++) {
		if (pos == 128 || pos == 256 || pos == 512)
			continue;
		memset(&sync, 0x5a, sizeof(sync));
		EXPECT_EQ(osq_ring_sync(&ring, pos, &sync), -EINVAL);
		EXPECT(!memcmp(&sync, &untouched, sizeof(sync)));
	}
	EXPECT_EQ(osq_ring_sync(&ring, ~0ull, &sync), -EINVAL);
	EXPECT_EQ(osq_ring_sync(&ring, ~7ull, &sync), -EINVAL);

	EXPECT(!memcmp(&ring, &before, sizeof(ring)));
	EXPECT_EQ(osq_ring_sync(&ring, 256, &sync), 0);
	EXPECT_EQ(sync.pending, 1);
	ring_teardown(&ring);
}

/* A position that is one ring size off is refused. */
static void test_a_position_one_lap_off_is_refused(void)
{
	struct osq_sync sync;
	struct osq_ring ring;
	u64 pos;

	ring_setup(&ring, SMALL);
	while (ring.write_pos < 2 * SMALL) {
		put_marked(&ring, 1024, 1);
		drain(&ring);
	}
	put_marked(&ring, 1024, 1);
	put_marked(&ring, 1024, 1);

	for (pos = 2 * SMALL; pos <= 2 * SMALL + 2048; pos += 1024) {
		EXPECT_EQ(osq_ring_sync(&ring, pos - SMALL, &sync), -EINVAL);
		EXPECT_EQ(osq_ring_sync(&ring, pos + SMALL, &sync), -EINVAL);
	}
	EXPECT_EQ(drain(&ring).consumed, 18);
	ring_teardown(&ring);
}

/* Garbage in the ring's memory changes nothing, since it is not read. */
static void test_ring_memory_is_never_read_back(void)
{
	struct osq_sync sync;
	struct osq_ring ring;

	ring_setup(&ring, SMALL);
	put_marked(&ring, 128, 1);
	put_marked(&ring, 128, 1);

	memset(ring.data, 0xff, SMALL);

	EXPECT_EQ(osq_ring_sync(&ring, 128, &sync), 0);
	EXPECT_EQ(sync.consumed, 1);
	EXPECT_EQ(put_marked(&ring, 128, 1), 0);
	EXPECT_EQ(drain(&ring).consumed, 3);
	ring_teardown(&ring);
}

/* A record is hidden exactly as long as one before it is open. */
static void test_an_open_record_hides_later_ones(void)
{
	struct osq_slot first, second;
	struct osq_sync sync;
	struct osq_ring ring;

	ring_setup(&ring, SMALL);
	EXPECT_EQ(osq_ring_reserve(&ring, OSQ_TYPE_EXEC, 64, OSQ_RANK_ANY,
				   &first),
		  0);
	EXPECT_EQ(osq_ring_reserve(&ring, OSQ_TYPE_EXEC, 72, OSQ_RANK_ANY,
				   &second),
		  0);

	osq_ring_commit(&ring, &second);
	EXPECT_EQ(osq_ring_sync(&ring, 0, &sync), 0);
	EXPECT_EQ(sync.max_pos, 0);
	EXPECT_EQ(sync.in_flight, 1);
	EXPECT_EQ(sync.pending, 1);
	EXPECT(counters_add_up(&sync));

	osq_ring_commit(&ring, &first);
	EXPECT_EQ(osq_ring_sync(&ring, 0, &sync), 0);
	EXPECT_EQ(sync.max_pos, 136);
	ring_teardown(&ring);
}

/* A discarded record counts as dropped, and the reader can skip it. */
static void test_a_discarded_record_is_dropped_and_skipped(void)
{
	const struct osq_record *none;
	struct osq_slot slot;
	struct osq_sync sync;
	struct osq_ring ring;

	ring_setup(&ring, SMALL);
	memset(ring.data, 0xff, SMALL);
	EXPECT_EQ(osq_ring_reserve(&ring, OSQ_TYPE_EXEC, 80, OSQ_RANK_ANY,
				   &slot),
		  0);
	EXPECT_EQ(put_marked(&ring, 64, 1), 0);

	osq_ring_discard(&ring, &slot);

	none = record_at(&ring, 0);
	EXPECT_EQ(none->type, OSQ_TYPE_NONE);
	EXPECT_EQ(none->len, 80);
	EXPECT_EQ(none->seq, 1);
	sync = drain(&ring);
	EXPECT_EQ(sync.dropped[OSQ_DROP_DISCARDED], 1);
	EXPECT_EQ(sync.consumed, 1);
	EXPECT_EQ(sync.pending, 0);
	EXPECT(counters_add_up(&sync));
	ring_teardown(&ring);
}

/* The first record after drops is one LOST that counts them all. */
static void test_lost_comes_before_the_next_record(void)
{
	const struct osq_lost *lost;
	const struct osq_record *next;
	struct osq_ring ring;
	struct osq_sync sync;
	int i;

	ring_setup(&ring, SMALL);
	for (i = 0; i < 8; i++)
		put_marked(&ring, 1024, 1);
	put_marked(&ring, 64, 1);
	osq_ring_drop(&ring, OSQ_TYPE_EXEC, OSQ_DROP_MISSED, 3);
	osq_ring_drop(&ring, OSQ_TYPE_EXEC, OSQ_DROP_MISSED, 0);
	drain(&ring);

	EXPECT_EQ(put_marked(&ring, 64, 1), 0);
	EXPECT_EQ(put_marked(&ring, 64, 1), 0);

	lost = (const void *)record_at(&ring, SMALL);
	EXPECT_EQ(lost->head.type, OSQ_TYPE_LOST);
	EXPECT_EQ(lost->head.len, sizeof(*lost));
	EXPECT_EQ(lost->first_seq, 9);
	EXPECT_EQ(lost->last_seq, 12);
	EXPECT_EQ(lost->head.seq, 13);
	EXPECT_EQ(lost->dropped[OSQ_DROP_FULL], 1);
	EXPECT_EQ(lost->dropped[OSQ_DROP_MISSED], 3);
	EXPECT(lost->first_ts_boot_ns <= lost->last_ts_boot_ns);
	next = record_at(&ring, SMALL + sizeof(*lost));
	EXPECT_EQ(next->seq, 14);
	sync = drain(&ring);
	EXPECT_EQ(sync.consumed, 11);
	EXPECT(counters_add_up(&sync));
	ring_teardown(&ring);
}

/* Closing counts pending records as reset; counters survive an open. */
static void test_close_counts_pending_as_reset(void)
{
	struct osq_sync sync;
	struct osq_ring ring;
	void *data;

	ring_setup(&ring, SMALL);
	put_marked(&ring, 64, 1);
	drain(&ring);
	put_marked(&ring, 64, 1);
	put_marked(&ring, 64, 1);
	data = ring.data;

	osq_ring_close(&ring);
	EXPECT(!is_readable(&ring));
	EXPECT_EQ(put_marked(&ring, 64, 1), -E2BIG);
	EXPECT_EQ(osq_ring_open(&ring, data, SMALL), 0);

	EXPECT_EQ(osq_ring_sync(&ring, 0, &sync), 0);
	EXPECT_EQ(sync.reset, 2);
	EXPECT_EQ(sync.pending, 0);
	EXPECT_EQ(sync.attempts, 4);
	EXPECT(counters_add_up(&sync));
	EXPECT_EQ(put_marked(&ring, 64, 1), 0);
	sync = drain(&ring);
	EXPECT_EQ(sync.consumed, 3);
	EXPECT(counters_add_up(&sync));
	ring_teardown(&ring);
}

/* Times of records never decrease, even if the clock steps back. */
static void test_time_does_not_go_back(void)
{
	const u64 future_ns = 1ull << 62;
	struct osq_ring ring;

	ring_setup(&ring, SMALL);
	ring.last_ts_boot_ns = future_ns;

	EXPECT_EQ(put_marked(&ring, 64, 1), 0);

	EXPECT_EQ(record_at(&ring, 0)->ts_boot_ns, future_ns);
	ring_teardown(&ring);
}

static const struct ktap_test tests[] = {
	KTAP_TEST(test_open_refuses_a_wrong_size),
	KTAP_TEST(test_reserve_fails_when_full_and_counts),
	KTAP_TEST(test_length_that_can_never_fit_is_too_big),
	KTAP_TEST(test_a_record_that_fits_the_empty_ring_is_accepted),
	KTAP_TEST(test_the_largest_record_fits_after_a_loss),
	KTAP_TEST(test_a_record_across_the_end_is_whole),
	KTAP_TEST(test_padding_is_zero),
	KTAP_TEST(test_a_position_that_is_no_boundary_changes_nothing),
	KTAP_TEST(test_a_position_one_lap_off_is_refused),
	KTAP_TEST(test_ring_memory_is_never_read_back),
	KTAP_TEST(test_an_open_record_hides_later_ones),
	KTAP_TEST(test_a_discarded_record_is_dropped_and_skipped),
	KTAP_TEST(test_lost_comes_before_the_next_record),
	KTAP_TEST(test_close_counts_pending_as_reset),
	KTAP_TEST(test_time_does_not_go_back),
};

KTAP_MAIN(tests)
