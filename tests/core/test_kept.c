// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * test_kept.c - many records of one user leave to others room in the ring, and
 * the lock, which no call holds for long.
 */
#include "fixture.h"
#include "osq_bitmap.h"

#define LARGE (8u << 20)
#define KEPT 1024u

static struct osq_ring ring;

static int put_as(u32 len, enum osq_rank rank)
{
	struct osq_slot slot;
	int err = osq_ring_reserve(&ring, OSQ_TYPE_EXEC, len, rank, &slot);

	if (!err)
		osq_ring_commit(&ring, &slot);
	return err;
}

static u32 fill_as(u32 len, enum osq_rank rank)
{
	u32 count = 0;

	while (!put_as(len, rank))
		count++;
	return count;
}

/* A full ring has exactly the kept bytes left for records of higher ranks. */
static void test_a_storm_leaves_what_is_kept(void)
{
	u64 room;

	ring_setup(&ring, SMALL);
	osq_ring_keep(&ring, KEPT);

	EXPECT_EQ(fill_as(64, OSQ_RANK_ANY), (SMALL - KEPT) / 64);
	/* One LOST record comes before the next one. */
	EXPECT_EQ(fill_as(64, OSQ_RANK_CRED),
		  (KEPT / 2 - sizeof(struct osq_lost)) / 64);
	EXPECT_EQ(put_as(64, OSQ_RANK_ANY), -ENOSPC);
	room = SMALL - ring.write_pos;
	EXPECT_EQ(fill_as(64, OSQ_RANK_ROOT),
		  (room - sizeof(struct osq_lost)) / 64);
	ring_teardown(&ring);
}

/* Records of a type fill its share; other types fill the rest. */
static void test_a_share_leaves_the_rest_to_other_types(void)
{
	struct osq_slot slot;
	u64 most = SMALL - SMALL / 100 * 75;

	ring_setup(&ring, SMALL);
	EXPECT_EQ(osq_ring_share(&ring, OSQ_TYPE_EXEC, 25), 0);

	EXPECT_EQ(fill_as(64, OSQ_RANK_ROOT), most / 64);
	EXPECT_EQ(osq_ring_reserve(&ring, OSQ_TYPE_FORK, 64, OSQ_RANK_ANY,
				   &slot),
		  0);
	osq_ring_commit(&ring, &slot);
	EXPECT_EQ(ring.count.type[OSQ_TYPE_EXEC].dropped[OSQ_DROP_FULL], 1);
	EXPECT_EQ(osq_ring_share(&ring, OSQ_TYPE_EXEC, 100), 0);
	EXPECT_EQ(put_as(64, OSQ_RANK_ROOT), 0);
	EXPECT_EQ(osq_ring_share(&ring, OSQ_TYPE_EXEC, 0), -EINVAL);
	EXPECT_EQ(osq_ring_share(&ring, OSQ_TYPE_EXEC, 101), -EINVAL);
	ring_teardown(&ring);
}

/* The larger of what a rank and what a type must leave counts. */
static void test_a_share_does_not_open_what_is_kept(void)
{
	ring_setup(&ring, SMALL);
	osq_ring_keep(&ring, KEPT);
	osq_ring_share(&ring, OSQ_TYPE_EXEC, 99);
	EXPECT_EQ(fill_as(64, OSQ_RANK_ANY), (SMALL - KEPT) / 64);
	ring_teardown(&ring);
}

/* A record that can never fit for its rank is too big. */
static void test_too_big_goes_by_rank(void)
{
	u32 most = SMALL - (u32)sizeof(struct osq_lost);

	ring_setup(&ring, SMALL);
	osq_ring_keep(&ring, KEPT);
	EXPECT_EQ(put_as(most - KEPT + 8, OSQ_RANK_ANY), -E2BIG);
	EXPECT_EQ(put_as(most - KEPT, OSQ_RANK_ANY), 0);
	ring_teardown(&ring);

	ring_setup(&ring, SMALL);
	osq_ring_keep(&ring, KEPT);
	EXPECT_EQ(put_as(most, OSQ_RANK_ROOT), 0);
	ring_teardown(&ring);
}

/* A ring that is opened again keeps nothing until osq_ring_keep. */
static void test_a_new_ring_keeps_nothing(void)
{
	void *data;

	ring_setup(&ring, SMALL);
	osq_ring_keep(&ring, KEPT);
	osq_ring_share(&ring, OSQ_TYPE_EXEC, 25);
	data = ring.data;
	osq_ring_close(&ring);
	EXPECT_EQ(osq_ring_open(&ring, data, SMALL), 0);
	EXPECT_EQ(fill_as(64, OSQ_RANK_ANY), SMALL / 64);
	ring_teardown(&ring);
}

/* A full ring is freed in slices, between which writers get the lock. */
static void test_giving_back_holds_the_lock_for_a_slice(void)
{
	struct osq_sync sync;
	u32 count;

	ring_setup(&ring, LARGE);
	count = fill_as(64, OSQ_RANK_ANY);
	osq_host_work();
	EXPECT_EQ(osq_ring_sync(&ring, ring.commit_pos, &sync), 0);
	EXPECT_EQ(sync.consumed, count);
	EXPECT_EQ(sync.pending, 0);
	/* Each word is counted twice: once in starts and once in dead. */
	EXPECT_EQ(osq_host_work().most_words, 2 * OSQ_SLICE_WORDS);
	ring_teardown(&ring);
}

/* Records after a busy one are shown in slices; one sync shows all. */
static void test_what_waited_for_a_busy_record_comes_in_slices(void)
{
	struct osq_slot busy, later;
	struct osq_sync sync;
	u64 end;

	ring_setup(&ring, LARGE);
	osq_ring_reserve(&ring, OSQ_TYPE_EXEC, 72, OSQ_RANK_ANY, &busy);
	while (ring.write_pos < LARGE / 2)
		put_as(72, OSQ_RANK_ANY);
	osq_ring_reserve(&ring, OSQ_TYPE_EXEC, 64, OSQ_RANK_ANY, &later);
	end = later.pos;
	while (ring.write_pos < LARGE - 72)
		put_as(72, OSQ_RANK_ANY);
	EXPECT_EQ(ring.commit_pos, 0);

	osq_ring_commit(&ring, &busy);
	EXPECT(ring.commit_pos > 0);
	EXPECT(ring.commit_pos <= OSQ_SLICE_BYTES + 72);
	EXPECT_EQ(ring.commit_pos % 72, 0);
	EXPECT_EQ(osq_ring_sync(&ring, 0, &sync), 0);
	EXPECT_EQ(sync.max_pos, end);
	osq_ring_commit(&ring, &later);
	EXPECT_EQ(osq_ring_sync(&ring, end, &sync), 0);
	EXPECT_EQ(sync.max_pos, ring.write_pos);
	ring_teardown(&ring);
}

/* As above, with only the last record and old ones after the slice. */
static void test_a_slice_may_end_in_the_last_record(void)
{
	const u64 large = 1u << 20;
	struct osq_slot busy;
	struct osq_sync sync;

	ring_setup(&ring, large);
	while (ring.write_pos < large)
		put_as(64, OSQ_RANK_ANY);
	EXPECT_EQ(osq_ring_sync(&ring, OSQ_SLICE_BYTES + 128, &sync), 0);
	osq_ring_reserve(&ring, OSQ_TYPE_EXEC, 64, OSQ_RANK_ANY, &busy);
	while (ring.write_pos - large < OSQ_SLICE_BYTES)
		put_as(32768, OSQ_RANK_ANY);
	osq_ring_commit(&ring, &busy);
	EXPECT_EQ(ring.commit_pos, ring.write_pos);
	EXPECT_EQ(osq_ring_sync(&ring, large, &sync), 0);
	EXPECT_EQ(sync.max_pos, ring.write_pos);
	ring_teardown(&ring);
}

static const struct ktap_test tests[] = {
	KTAP_TEST(test_a_storm_leaves_what_is_kept),
	KTAP_TEST(test_a_share_leaves_the_rest_to_other_types),
	KTAP_TEST(test_a_share_does_not_open_what_is_kept),
	KTAP_TEST(test_too_big_goes_by_rank),
	KTAP_TEST(test_a_new_ring_keeps_nothing),
	KTAP_TEST(test_giving_back_holds_the_lock_for_a_slice),
	KTAP_TEST(test_what_waited_for_a_busy_record_comes_in_slices),
	KTAP_TEST(test_a_slice_may_end_in_the_last_record),
};

KTAP_MAIN(tests)
