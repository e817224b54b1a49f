// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* test_sync.c - tests of the reader's side: wakeups and counters by type. */
#include "fixture.h"

#define START_NS 1000000000ull
#define NS_PER_MS 1000000ull

static struct osq_ring ring;
static u64 wait_ns;

static void setup_with(u32 watermark_bytes, u32 latency_ms)
{
	struct osq_notify notify = { watermark_bytes, latency_ms };

	ring_setup(&ring, SMALL);
	osq_host_stop_clock(START_NS);
	EXPECT_EQ(osq_ring_notify(&ring, &notify), 0);
}

static void teardown(void)
{
	osq_host_stop_clock(0);
	ring_teardown(&ring);
}

static struct osq_sync sync_to(u64 pos)
{
	struct osq_sync sync;

	EXPECT_EQ(osq_ring_sync(&ring, pos, &sync), 0);
	EXPECT(counters_add_up(&sync));
	return sync;
}

/* Without NOTIFY the reader is woken for every record. */
static void test_reader_is_woken_for_each_record_by_default(void)
{
	ring_setup(&ring, SMALL);
	EXPECT_EQ(osq_ring_ready(&ring, &wait_ns), OSQ_READY_NOTHING);
	put_marked(&ring, 64, 1);
	EXPECT_EQ(osq_ring_ready(&ring, &wait_ns), OSQ_READY_NOW);
	ring_teardown(&ring);
}

/* The reader is woken at the watermark, and not one byte below. */
static void test_the_watermark_is_in_bytes(void)
{
	setup_with(192, 100);
	put_marked(&ring, 64, 1);
	put_marked(&ring, 64, 1);
	EXPECT_EQ(osq_ring_ready(&ring, &wait_ns), OSQ_READY_LATER);
	EXPECT_EQ(wait_ns, 100 * NS_PER_MS);
	put_marked(&ring, 64, 1);
	EXPECT_EQ(osq_ring_ready(&ring, &wait_ns), OSQ_READY_NOW);
	teardown();
}

/* The oldest unread record waits for exactly latency_ms. */
static void test_the_oldest_record_sets_the_time(void)
{
	setup_with(4096, 100);
	put_marked(&ring, 64, 1);
	osq_host_stop_clock(START_NS + 60 * NS_PER_MS);
	put_marked(&ring, 64, 1);
	EXPECT_EQ(osq_ring_ready(&ring, &wait_ns), OSQ_READY_LATER);
	EXPECT_EQ(wait_ns, 40 * NS_PER_MS);
	osq_host_stop_clock(START_NS + 100 * NS_PER_MS);
	EXPECT_EQ(osq_ring_ready(&ring, &wait_ns), OSQ_READY_NOW);
	teardown();
}

/* After a SYNC the latency of unread records begins again, once. */
static void test_latency_begins_again_with_a_sync(void)
{
	setup_with(4096, 100);
	put_marked(&ring, 64, 1);
	put_marked(&ring, 64, 1);
	osq_host_stop_clock(START_NS + 90 * NS_PER_MS);
	sync_to(0);
	EXPECT_EQ(osq_ring_ready(&ring, &wait_ns), OSQ_READY_LATER);
	EXPECT_EQ(wait_ns, 10 * NS_PER_MS);
	sync_to(64);
	EXPECT_EQ(osq_ring_ready(&ring, &wait_ns), OSQ_READY_LATER);
	EXPECT_EQ(wait_ns, 100 * NS_PER_MS);
	sync_to(128);
	EXPECT_EQ(osq_ring_ready(&ring, &wait_ns), OSQ_READY_NOTHING);
	teardown();
}

/* A loss wakes the reader at once, if there is anything to read. */
static void test_a_loss_does_not_wait(void)
{
	setup_with(4096, 100);
	osq_ring_drop(&ring, OSQ_TYPE_FORK, OSQ_DROP_MISSED, 1);
	EXPECT_EQ(osq_ring_ready(&ring, &wait_ns), OSQ_READY_NOTHING);
	put_marked(&ring, 64, 1);
	EXPECT_EQ(osq_ring_ready(&ring, &wait_ns), OSQ_READY_LATER);
	osq_ring_drop(&ring, OSQ_TYPE_FORK, OSQ_DROP_MISSED, 1);
	EXPECT_EQ(osq_ring_ready(&ring, &wait_ns), OSQ_READY_NOW);
	teardown();
}

/* A new ring wakes the reader for each record again. */
static void test_a_new_ring_forgets_the_watermark(void)
{
	void *data;

	setup_with(SMALL, 100);
	data = ring.data;
	osq_ring_close(&ring);
	EXPECT_EQ(osq_ring_open(&ring, data, SMALL), 0);
	put_marked(&ring, 64, 1);
	EXPECT_EQ(osq_ring_ready(&ring, &wait_ns), OSQ_READY_NOW);
	teardown();
}

/* Drops are counted by reason and by type, and LOST has the types. */
static void test_drops_are_counted_by_type(void)
{
	const struct osq_lost *lost;
	struct osq_stats stats = { 0 };
	struct osq_sync sync;
	struct osq_slot slot;

	ring_setup(&ring, SMALL);
	osq_ring_drop(&ring, OSQ_TYPE_FORK, OSQ_DROP_MISSED, 3);
	osq_ring_drop(&ring, OSQ_TYPE_EXIT, OSQ_DROP_NESTED, 2);
	osq_ring_reserve(&ring, OSQ_TYPE_EXEC, 64, OSQ_RANK_ANY, &slot);
	osq_ring_stats(&ring, &stats);
	EXPECT_EQ(stats.in_flight, 1);
	EXPECT_EQ(stats.type[OSQ_TYPE_EXEC].attempts, 1);
	osq_ring_discard(&ring, &slot);

	sync = sync_to(0);
	EXPECT_EQ(sync.dropped_of[OSQ_TYPE_FORK], 3);
	EXPECT_EQ(sync.dropped_of[OSQ_TYPE_EXIT], 2);
	EXPECT_EQ(sync.dropped_of[OSQ_TYPE_EXEC], 1);
	lost = (const void *)record_at(&ring, 0);
	EXPECT_EQ(lost->types, 1u << OSQ_TYPE_FORK | 1u << OSQ_TYPE_EXIT);
	osq_ring_stats(&ring, &stats);
	EXPECT_EQ(stats.unread_bytes, sizeof(*lost) + 64);
	EXPECT_EQ(stats.attempts, 7);
	EXPECT_EQ(stats.pending, 1);
	EXPECT_EQ(stats.type[OSQ_TYPE_FORK].dropped[OSQ_DROP_MISSED], 3);
	EXPECT_EQ(stats.type[OSQ_TYPE_EXEC].dropped[OSQ_DROP_DISCARDED], 1);
	EXPECT_EQ(stats.type[OSQ_TYPE_LOST].committed, 1);
	ring_teardown(&ring);
}

/* A filtered record has no number; its counter is kept by a new ring. */
static void test_filtered_record_is_no_attempt(void)
{
	struct osq_stats stats = { 0 };
	struct osq_sync sync;
	void *data;

	ring_setup(&ring, SMALL);
	put_marked(&ring, 64, 1);
	osq_ring_filtered(&ring, OSQ_TYPE_FORK);
	osq_ring_filtered(&ring, OSQ_TYPE_FORK);
	osq_ring_filtered(&ring, OSQ_TYPE_EXIT);
	put_marked(&ring, 64, 2);

	sync = sync_to(0);
	EXPECT_EQ(sync.filtered, 3);
	EXPECT_EQ(sync.attempts, 2);
	EXPECT_EQ(record_at(&ring, 64)->seq, 2);
	EXPECT(counters_add_up(&sync));
	data = ring.data;
	osq_ring_close(&ring);
	EXPECT_EQ(osq_ring_open(&ring, data, SMALL), 0);
	osq_ring_stats(&ring, &stats);
	EXPECT_EQ(stats.filtered[OSQ_TYPE_FORK], 2);
	EXPECT_EQ(stats.filtered[OSQ_TYPE_EXIT], 1);
	EXPECT_EQ(stats.filtered[OSQ_TYPE_EXEC], 0);
	EXPECT_EQ(stats.type[OSQ_TYPE_FORK].attempts, 0);
	ring_teardown(&ring);
}

/* One call frees a full ring of records of every length. */
static void test_a_full_ring_is_freed_at_once(void)
{
	struct osq_sync sync;
	u64 round, put;

	ring_setup(&ring, SMALL);
	for (round = 0; round < 300; round++) {
		for (put = 0; !put_marked(&ring, 64 + 8 * (round % 90), 1);)
			put++;
		sync = sync_to(ring.read_pos);
		sync = sync_to(sync.max_pos);
		EXPECT_EQ(sync.pending, 0);
		EXPECT_EQ(sync.consumed, sync.committed);
		EXPECT_EQ(sync.dropped[OSQ_DROP_FULL], round + 1);
	}
	ring_teardown(&ring);
}

static const struct ktap_test tests[] = {
	KTAP_TEST(test_reader_is_woken_for_each_record_by_default),
	KTAP_TEST(test_the_watermark_is_in_bytes),
	KTAP_TEST(test_the_oldest_record_sets_the_time),
	KTAP_TEST(test_latency_begins_again_with_a_sync),
	KTAP_TEST(test_a_loss_does_not_wait),
	KTAP_TEST(test_a_new_ring_forgets_the_watermark),
	KTAP_TEST(test_drops_are_counted_by_type),
	KTAP_TEST(test_filtered_record_is_no_attempt),
	KTAP_TEST(test_a_full_ring_is_freed_at_once),
};

KTAP_MAIN(tests)
