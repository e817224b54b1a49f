// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* test_device.c - tests of the device: one owner and its ring. */
#include "device_fixture.h"

/* A second session is refused until the first one's owner has left. */
static void test_one_session_at_a_time(void)
{
	static struct osq_session second;

	setup();

	EXPECT_EQ(osq_device_attach(&device, &second, &stranger), -EBUSY);
	osq_device_detach(&device, &session);
	EXPECT_EQ(osq_device_attach(&device, &second, &stranger), 0);

	/* A late close of the first session's file leaves the second alone. */
	osq_device_detach(&device, &session);
	EXPECT(device.session == &second);
	osq_device_detach(&device, &second);
	teardown();
}

/* Each wrong ALLOCATE returns its own errno and leaves no ring. */
static void test_each_wrong_allocate_has_its_errno(void)
{
	struct osq_allocate request = { .abi = OSQ_ABI_VERSION + 1,
					.ring_bytes = SMALL };

	setup();

	EXPECT_EQ(osq_device_check_allocate(&session, &request), -EPROTO);
	request.abi = OSQ_ABI_VERSION - 1;
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

/* Without a ring, subscribing and reading are refused. */
static void test_subscribe_and_sync_need_a_ring(void)
{
	struct osq_sync sync;

	setup();

	EXPECT_EQ(subscribe(OSQ_TYPE_EXEC, 1), -ENXIO);
	EXPECT_EQ(sync_at(0, 0, &sync), -ENXIO);
	teardown();
}

/* STATS and NOTIFY are refused without a ring or with a wrong argument. */
static void test_wrong_stats_and_notify_are_refused(void)
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

/* SYNC needs the current generation, known flags and a boundary. */
static void test_each_wrong_sync_has_its_errno(void)
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

/* A call by another process stops publishers and resets the queue. */
static void test_call_of_another_process_invalidates_the_queue(void)
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
	EXPECT(counters_add_up(&sync));
	teardown();
}

/* When the owner leaves, publishers stop and every call is refused. */
static void test_session_ends_when_its_owner_leaves(void)
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
	KTAP_TEST(test_each_wrong_allocate_has_its_errno),
	KTAP_TEST(test_subscribe_and_sync_need_a_ring),
	KTAP_TEST(test_wrong_stats_and_notify_are_refused),
	KTAP_TEST(test_each_wrong_sync_has_its_errno),
	KTAP_TEST(test_call_of_another_process_invalidates_the_queue),
	KTAP_TEST(test_session_ends_when_its_owner_leaves),
};

KTAP_MAIN(tests)
