// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * test_held.c - what the core does while it holds the ring's lock, for which
 * every other writer waits: it reads no clock, and copies no record.
 */
#include "fixture.h"
#include "osq_filter.h"

static struct osq_ring ring;

/* A put takes the lock twice, to reserve and to commit, and copies between. */
static void test_put_reads_no_clock_and_copies_nothing_under_the_lock(void)
{
	struct osq_host_work work;

	ring_setup(&ring, SMALL);
	osq_host_work();

	EXPECT_EQ(put_marked(&ring, 256, 1), 0);

	work = osq_host_work();
	EXPECT_EQ(work.locks, 2);
	EXPECT_EQ(work.clock_reads, 0);
	EXPECT_EQ(work.copied_bytes, 0);
	ring_teardown(&ring);
}

/* The other ways in which an attempt ends are no longer under the lock. */
static void test_drop_and_discard_read_no_clock_under_the_lock(void)
{
	struct osq_host_work work;
	struct osq_slot slot;

	ring_setup(&ring, SMALL);
	osq_host_work();

	EXPECT_EQ(osq_ring_reserve(&ring, OSQ_TYPE_EXEC, 256, OSQ_RANK_ANY,
				   &slot),
		  0);
	osq_ring_discard(&ring, &slot);
	EXPECT_EQ(osq_ring_reserve(&ring, OSQ_TYPE_EXEC, 2 * SMALL,
				   OSQ_RANK_ANY, &slot),
		  -E2BIG);
	osq_ring_drop(&ring, OSQ_TYPE_EXEC, OSQ_DROP_NESTED, 1);

	work = osq_host_work();
	EXPECT_EQ(work.locks, 4);
	EXPECT_EQ(work.clock_reads, 0);
	EXPECT_EQ(work.copied_bytes, 0);
	ring_teardown(&ring);
}

/* After a loss the LOST record is copied under the lock, and nothing else. */
static void
test_after_a_loss_the_lost_record_alone_is_copied_under_the_lock(void)
{
	struct osq_host_work work;

	ring_setup(&ring, SMALL);
	osq_ring_drop(&ring, OSQ_TYPE_EXEC, OSQ_DROP_NESTED, 1);
	osq_host_work();

	EXPECT_EQ(put_marked(&ring, 256, 1), 0);

	work = osq_host_work();
	EXPECT_EQ(work.clock_reads, 0);
	EXPECT_EQ(work.copied_bytes, sizeof(struct osq_lost));
	ring_teardown(&ring);
}

/* An event that a filter rejects delays nobody. */
static void test_filtered_event_takes_no_lock(void)
{
	static const struct osq_filter filter = {
		.type = OSQ_TYPE_EXEC,
		.exclude = OSQ_FILTER_BY_UID,
		.uid_count = 1,
		.uids = { { 1000, 1000 } },
	};
	const struct osq_subject subject = { .uid = 1000 };

	ring_setup(&ring, SMALL);
	osq_host_work();

	EXPECT(!osq_filter_lets(&filter, &subject));
	osq_ring_filtered(&ring, OSQ_TYPE_EXEC);

	EXPECT_EQ(osq_host_work().locks, 0);
	ring_teardown(&ring);
}

/* The witness sees what the tests above deny: a sync copies counters. */
static void test_sync_is_seen_to_copy_under_the_lock(void)
{
	struct osq_host_work work;
	struct osq_sync sync;

	ring_setup(&ring, SMALL);
	osq_host_work();

	EXPECT_EQ(osq_ring_sync(&ring, 0, &sync), 0);

	work = osq_host_work();
	EXPECT_EQ(work.locks, 1);
	EXPECT_EQ(work.copied_bytes,
		  sizeof(sync.dropped) + sizeof(sync.dropped_of));
	ring_teardown(&ring);
}

static const struct ktap_test tests[] = {
	KTAP_TEST(test_put_reads_no_clock_and_copies_nothing_under_the_lock),
	KTAP_TEST(test_drop_and_discard_read_no_clock_under_the_lock),
	KTAP_TEST(
		test_after_a_loss_the_lost_record_alone_is_copied_under_the_lock),
	KTAP_TEST(test_filtered_event_takes_no_lock),
	KTAP_TEST(test_sync_is_seen_to_copy_under_the_lock),
};

KTAP_MAIN(tests)
