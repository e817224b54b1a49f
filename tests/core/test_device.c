// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* test_device.c - one owner and its ring; each test is a claim. */
#include "device_fixture.h"

/* A second session is refused until the first one's owner has left. */
static void test_one_session_at_a_time(void)
{
	static struct osq_session second;

	setup();

	EXPECT_EQ(osq_device_attach(&device, &second, &stranger), -EBUSY);
	osq_device_detach(&device, &session);
	EXPECT_EQ(osq_device_attach(&device, &second, &stranger), 0);

	/* The first one's file may go away later; that is not the second's. */
	osq_device_detach(&device, &session);
	EXPECT(device.session == &second);
	osq_device_detach(&device, &second);
	teardown();
}

/* Each wrong ALLOCATE has its errno, and leaves no ring. */
static void test_allocate_refuses_each_in_its_way(void)
{
	struct osq_allocate request = { .abi = OSQ_ABI_VERSION + 1,
					.ring_bytes = SMALL };

	setup();

	EXPECT_EQ(osq_device_check_allocate(&session, &request), -EPROTO);
	request.abi = OSQ_ABI_VERSION;
	request.reserved = 1;
	EXPECT_EQ(osq_device_check_allocate(&session, &request), -EINVAL);
	EXPECT_EQ(allocate(SMALL + 1), -EINVAL);
	EXPECT_EQ(allocate(SMALL / 2), -EINVAL);
	EXPECT_EQ(allocate(OSQ_RING_MAX_BYTES * 2ull), -EINVAL);
	EXPECT_EQ(osq_device_has_ring(&session), -ENXIO);
	EXPECT_EQ(allocate(SMALL), 0);
	EXPECT_EQ(allocate(SMALL), -EEXIST);
	teardown();
}

/* Without a ring there is nothing to subscribe to and nothing to read. */
static void test_a_ring_comes_first(void)
{
	struct osq_sync sync;

	setup();

	EXPECT_EQ(subscribe(OSQ_TYPE_EXEC, 1), -ENXIO);
	EXPECT_EQ(sync_at(0, 0, &sync), -ENXIO);
	teardown();
}

/* STATS and NOTIFY want a ring, and what they are given to be right. */
static void test_stats_and_notify_refuse(void)
{
	static const struct osq_notify wrong[] = {
		{ 0, 0 }, { SMALL + 1, 1 }, { 2, 0 }, { 1, 60001 }
	};
	struct osq_notify good = { SMALL, 60000 };
	struct osq_stats stats = { 0 };
	size_t i;

	setup();
	EXPECT_EQ(osq_device_stats(&session, &stats), -ENXIO);
	EXPECT_EQ(osq_device_notify(&session, &good), -ENXIO);
	EXPECT_EQ(allocate(SMALL), 0);

	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		EXPECT_EQ(osq_device_notify(&session, &wrong[i]), -EINVAL);
	EXPECT_EQ(osq_device_notify(&session, &good), 0);
	stats.reserved = 1;
	EXPECT_EQ(osq_device_stats(&session, &stats), -EINVAL);
	stats.reserved = 0;
	EXPECT_EQ(osq_device_stats(&session, &stats), 0);
	EXPECT_EQ(stats.generation, session.generation);
	EXPECT_EQ(stats.ring_bytes, SMALL);
	teardown();
}

/* SYNC wants this generation, known flags and a boundary. */
static void test_sync_refuses_each_in_its_way(void)
{
	struct osq_sync sync = { .flags = 0x80 };

	setup();
	EXPECT_EQ(allocate(SMALL), 0);

	EXPECT_EQ(osq_device_sync(&session, &sync), -EINVAL);
	EXPECT_EQ(sync_at(session.generation + 1, 0, &sync), -ESTALE);
	EXPECT_EQ(sync_at(session.generation, 8, &sync), -EINVAL);
	EXPECT_EQ(sync_at(session.generation, 0, &sync), 0);
	teardown();
}

/* A stranger costs the queue: publishers off, reset counted, both told. */
static void test_a_stranger_invalidates_the_queue(void)
{
	struct osq_sync sync;
	u32 generation;

	setup();
	EXPECT_EQ(allocate(SMALL), 0);
	generation = session.generation;
	EXPECT_EQ(subscribe(OSQ_TYPE_EXEC, 1), 0);
	EXPECT_EQ(put_marked(target, 64, 1), 0);

	EXPECT_EQ(osq_device_may_use(&session, &stranger), -EPERM);
	EXPECT(osq_device_invalidate(&session));
	EXPECT(!osq_device_invalidate(&session));

	EXPECT_EQ(running, 0);
	EXPECT_EQ(osq_device_may_use(&session, &owner), 0);
	EXPECT_EQ(sync_at(generation, 0, &sync), -ESTALE);
	EXPECT_EQ(subscribe(OSQ_TYPE_EXEC, 1), -ESTALE);
	EXPECT_EQ(allocate(SMALL), 0);
	EXPECT(session.generation != generation);
	EXPECT_EQ(sync_at(generation, 0, &sync), -ESTALE);
	EXPECT_EQ(sync_at(session.generation, 0, &sync), 0);
	EXPECT_EQ(sync.reset, 1);
	EXPECT_EQ(sync.committed, 1);
	EXPECT(law_holds(&sync));
	teardown();
}

/* When the owner leaves all stops, and nothing works any more. */
static void test_a_left_session_is_over(void)
{
	struct osq_sync sync;

	setup();
	EXPECT_EQ(allocate(SMALL), 0);
	EXPECT_EQ(subscribe(OSQ_TYPE_EXEC, 1), 0);

	osq_device_detach(&device, &session);
	osq_device_detach(&device, &session);

	EXPECT_EQ(running, 0);
	EXPECT(!device.session);
	EXPECT_EQ(osq_device_may_use(&session, &owner), -ESTALE);
	EXPECT_EQ(sync_at(session.generation, 0, &sync), -ESTALE);
	EXPECT(!osq_device_invalidate(&session));
	teardown();
}

static const struct ktap_test tests[] = {
	KTAP_TEST(test_one_session_at_a_time),
	KTAP_TEST(test_allocate_refuses_each_in_its_way),
	KTAP_TEST(test_a_ring_comes_first),
	KTAP_TEST(test_stats_and_notify_refuse),
	KTAP_TEST(test_sync_refuses_each_in_its_way),
	KTAP_TEST(test_a_stranger_invalidates_the_queue),
	KTAP_TEST(test_a_left_session_is_over),
};

KTAP_MAIN(tests)
