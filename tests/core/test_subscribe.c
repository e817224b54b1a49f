// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* test_subscribe.c - tests of subscriptions and of their publishers. */
#include "device_fixture.h"

/* A publisher starts and stops once for repeated calls, too (B17). */
static void test_subscribing_twice_starts_once(void)
{
	setup();
	EXPECT_EQ(allocate(SMALL), 0);

	EXPECT_EQ(subscribe(OSQ_TYPE_EXEC, 1), 0);
	EXPECT_EQ(subscribe(OSQ_TYPE_EXEC, 1), 0);
	EXPECT_EQ(running, 1);
	EXPECT_EQ(subscribe(OTHER_TYPE, 1), 0);
	EXPECT_EQ(running, 2);
	EXPECT_EQ(subscribe(OSQ_TYPE_EXEC, 0), 0);
	EXPECT_EQ(subscribe(OSQ_TYPE_EXEC, 0), 0);
	EXPECT_EQ(running, 1);
	teardown();
}

/* Calls that need a subscription are refused before and after it. */
static void test_a_type_is_on_while_it_is_subscribed_to(void)
{
	setup();
	EXPECT_EQ(osq_device_is_on(&session, OSQ_TYPE_EXEC), -ENXIO);
	EXPECT_EQ(allocate(SMALL), 0);
	EXPECT_EQ(osq_device_is_on(&session, OSQ_TYPE_EXEC), -ENOTCONN);

	EXPECT_EQ(subscribe(OSQ_TYPE_EXEC, 1), 0);
	EXPECT_EQ(osq_device_is_on(&session, OSQ_TYPE_EXEC), 0);
	EXPECT_EQ(osq_device_is_on(&session, OTHER_TYPE), -ENOTCONN);

	EXPECT(osq_device_invalidate(&session));
	EXPECT_EQ(osq_device_is_on(&session, OSQ_TYPE_EXEC), -ESTALE);
	teardown();
}

/* Options can change while subscribed; unknown ones are refused. */
static void test_options_reach_the_publisher(void)
{
	struct osq_subscribe request = { .type = OSQ_TYPE_EXEC, .on = 1 };

	setup();
	EXPECT_EQ(allocate(SMALL), 0);

	request.options = OSQ_EXEC_ENV;
	EXPECT_EQ(osq_device_subscribe(&session, &request), 0);
	EXPECT_EQ(chosen, OSQ_EXEC_ENV);
	request.options = 0;
	EXPECT_EQ(osq_device_subscribe(&session, &request), 0);
	EXPECT_EQ(chosen, 0);
	EXPECT_EQ(running, 1);
	request.options = 2;
	EXPECT_EQ(osq_device_subscribe(&session, &request), -EINVAL);
	request.type = OTHER_TYPE;
	request.options = 1;
	EXPECT_EQ(osq_device_subscribe(&session, &request), -EINVAL);
	EXPECT_EQ(chosen, 0);
	teardown();
}

/* Each call that the system skipped is counted once, as a drop. */
static void test_what_a_hook_missed_is_counted(void)
{
	struct osq_stats stats = { 0 };
	struct osq_sync sync;

	setup();
	EXPECT_EQ(allocate(SMALL), 0);
	missed = 9;
	EXPECT_EQ(sync_at(session.generation, 0, &sync), 0);
	EXPECT_EQ(sync.attempts, 0);

	missed = 0;
	EXPECT_EQ(subscribe(OTHER_TYPE, 1), 0);
	missed = 2;
	EXPECT_EQ(sync_at(session.generation, 0, &sync), 0);
	EXPECT_EQ(sync.dropped[OSQ_DROP_MISSED], 2);
	EXPECT_EQ(sync.dropped_of[OTHER_TYPE], 2);
	missed = 5;
	EXPECT_EQ(osq_device_stats(&session, &stats), 0);
	EXPECT_EQ(stats.type[OTHER_TYPE].dropped[OSQ_DROP_MISSED], 5);
	missed = 6;
	EXPECT_EQ(subscribe(OTHER_TYPE, 0), 0);
	missed = 0;
	EXPECT_EQ(subscribe(OTHER_TYPE, 1), 0);
	missed = 1;
	EXPECT(osq_device_invalidate(&session));
	EXPECT_EQ(session.ring.count.dropped[OSQ_DROP_MISSED], 7);
	EXPECT_EQ(session.ring.count.attempts, 7);
	teardown();
}

/* A filter needs a ring, a publisher and conditions that it supports. */
static void test_unsuitable_filter_is_refused(void)
{
	static struct osq_filter filter = { .type = OSQ_TYPE_EXEC };

	setup();
	EXPECT_EQ(osq_device_check_filter(&session, &filter), -ENXIO);
	EXPECT_EQ(allocate(SMALL), 0);

	EXPECT_EQ(osq_device_check_filter(&session, &filter), 0);
	filter.uid_count = 1;
	EXPECT_EQ(osq_device_check_filter(&session, &filter), 0);
	filter.type = OTHER_TYPE;
	EXPECT_EQ(osq_device_check_filter(&session, &filter), -EINVAL);
	filter.uid_count = 0;
	EXPECT_EQ(osq_device_check_filter(&session, &filter), 0);
	filter.type = OSQ_TYPE_COUNT;
	EXPECT_EQ(osq_device_check_filter(&session, &filter), -EINVAL);
	filter.type = OSQ_TYPE_LOST;
	EXPECT_EQ(osq_device_check_filter(&session, &filter), -EINVAL);
	EXPECT(osq_device_invalidate(&session));
	filter.type = OSQ_TYPE_EXEC;
	EXPECT_EQ(osq_device_check_filter(&session, &filter), -ESTALE);
	teardown();
}

/* CAPS has each publisher once, either as usable or as missing. */
static void test_caps_say_what_is_missing(void)
{
	struct osq_caps caps;

	osq_device_caps(&caps, 4096);
	EXPECT_EQ(caps.types, 1u << OSQ_TYPE_EXEC | 1u << OTHER_TYPE);
	EXPECT_EQ(caps.missing, 0);
	EXPECT_EQ(caps.abi, OSQ_ABI_VERSION);
	EXPECT_EQ(caps.filters, 1u << OSQ_TYPE_EXEC);

	start_error = -EOPNOTSUPP;
	osq_device_caps(&caps, 4096);
	EXPECT_EQ(caps.types, 1u << OTHER_TYPE);
	EXPECT_EQ(caps.missing, 1u << OSQ_TYPE_EXEC);
}

/* The smallest ring has whole pages, whatever their size. */
static void test_smallest_ring_has_whole_pages(void)
{
	struct osq_caps caps;

	osq_device_caps(&caps, 4096);
	EXPECT_EQ(caps.ring_min_bytes, OSQ_RING_MIN_BYTES);
	osq_device_caps(&caps, 64u << 10);
	EXPECT_EQ(caps.ring_min_bytes, 64u << 10);
}

/* Unknown types and values, and a failed start, leave no subscription. */
static void test_failed_subscribe_leaves_no_subscription(void)
{
	setup();
	EXPECT_EQ(allocate(SMALL), 0);

	EXPECT_EQ(subscribe(OSQ_TYPE_LOST, 1), -EINVAL);
	EXPECT_EQ(subscribe(OSQ_TYPE_COUNT, 1), -EINVAL);
	EXPECT_EQ(subscribe(~0u, 1), -EINVAL);
	EXPECT_EQ(subscribe(OSQ_TYPE_EXEC, 2), -EINVAL);
	start_error = -EOPNOTSUPP;
	EXPECT_EQ(subscribe(OSQ_TYPE_EXEC, 1), -EOPNOTSUPP);
	EXPECT_EQ(session.subscribed, 0);
	teardown();
}

static const struct ktap_test tests[] = {
	KTAP_TEST(test_subscribing_twice_starts_once),
	KTAP_TEST(test_a_type_is_on_while_it_is_subscribed_to),
	KTAP_TEST(test_options_reach_the_publisher),
	KTAP_TEST(test_what_a_hook_missed_is_counted),
	KTAP_TEST(test_unsuitable_filter_is_refused),
	KTAP_TEST(test_caps_say_what_is_missing),
	KTAP_TEST(test_smallest_ring_has_whole_pages),
	KTAP_TEST(test_failed_subscribe_leaves_no_subscription),
};

KTAP_MAIN(tests)
