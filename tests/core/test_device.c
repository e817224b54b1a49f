// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* test_device.c - one owner, its ring, its publishers; each test is a claim. */
#include "fixture.h"
#include "osq_device.h"

#define OTHER_TYPE 9

static int running; /* started, not stopped */
static int start_error;
static struct osq_ring *target;
static u64 missed; /* what the fake hook was not called for */
static u64 chosen; /* options of the last start or configure */

static int fake_start(struct osq_ring *ring, u64 options)
{
	if (start_error)
		return start_error;
	target = ring;
	chosen = options;
	running++;
	return 0;
}

static void fake_configure(u64 options)
{
	chosen = options;
}

static u64 fake_missed(void)
{
	return missed;
}

static bool fake_probe(void)
{
	return !start_error;
}

static void fake_stop(void)
{
	target = NULL;
	running--;
}

const struct osq_publisher osq_publishers[] = {
	{
		.name = "exec",
		.type = OSQ_TYPE_EXEC,
		.options = OSQ_EXEC_ENV,
		.filters = OSQ_FILTER_BY_UID | OSQ_FILTER_BY_PATH,
		.probe = fake_probe,
		.start = fake_start,
		.configure = fake_configure,
		.stop = fake_stop,
	},
	{
		.name = "other",
		.type = OTHER_TYPE,
		.start = fake_start,
		.stop = fake_stop,
		.missed = fake_missed,
	},
	{ 0 },
};

static const int owner, stranger; /* identities, by address */
static struct osq_device device;
static struct osq_session session;
static void *memory;

static int allocate(u64 bytes)
{
	struct osq_allocate request = {
		.abi = OSQ_ABI_VERSION,
		.ring_bytes = bytes,
	};

	return osq_device_allocate(&device, &session, &request, memory);
}

static int subscribe(u32 type, u32 on)
{
	struct osq_subscribe request = { .type = type, .on = on };

	return osq_device_subscribe(&session, &request);
}

static int sync_at(u32 generation, u64 pos, struct osq_sync *sync)
{
	memset(sync, 0, sizeof(*sync));
	sync->generation = generation;
	sync->read_pos = pos;
	return osq_device_sync(&session, sync);
}

static void setup(void)
{
	memset(&device, 0, sizeof(device));
	memset(&session, 0, sizeof(session));
	memory = osq_host_map(SMALL);
	start_error = 0;
	missed = 0;
	running = 0;
	EXPECT_EQ(osq_device_attach(&device, &session, &owner), 0);
}

static void teardown(void)
{
	osq_device_detach(&device, &session);
	osq_host_unmap(memory, SMALL);
	EXPECT_EQ(running, 0);
}

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

/* A publisher starts once and stops once, however often one asks (B17). */
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

/* Options change while on; what a publisher does not know is refused. */
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

/* Calls that the system left out are drops: once each, at the next count. */
static void test_what_a_hook_missed_is_counted(void)
{
	struct osq_stats stats = { 0 };
	struct osq_sync sync;

	setup();
	EXPECT_EQ(allocate(SMALL), 0);

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

/* A filter wants a ring, a publisher, and conditions that this one knows. */
static void test_a_filter_is_refused(void)
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
	filter.type = OSQ_TYPE_LOST;
	EXPECT_EQ(osq_device_check_filter(&session, &filter), -EINVAL);
	EXPECT(osq_device_invalidate(&session));
	filter.type = OSQ_TYPE_EXEC;
	EXPECT_EQ(osq_device_check_filter(&session, &filter), -ESTALE);
	teardown();
}

/* CAPS has each publisher once: as usable, or as missing here. */
static void test_caps_say_what_is_missing(void)
{
	struct osq_caps caps;

	osq_device_caps(&caps);
	EXPECT_EQ(caps.types, 1u << OSQ_TYPE_EXEC | 1u << OTHER_TYPE);
	EXPECT_EQ(caps.missing, 0);
	EXPECT_EQ(caps.abi, OSQ_ABI_VERSION);
	EXPECT_EQ(caps.filters, 1u << OSQ_TYPE_EXEC);

	start_error = -EOPNOTSUPP;
	osq_device_caps(&caps);
	EXPECT_EQ(caps.types, 1u << OTHER_TYPE);
	EXPECT_EQ(caps.missing, 1u << OSQ_TYPE_EXEC);
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

/* Unknown types and values are refused; a failed start is not subscribed. */
static void test_subscribe_refuses(void)
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
	KTAP_TEST(test_subscribing_twice_starts_once),
	KTAP_TEST(test_options_reach_the_publisher),
	KTAP_TEST(test_what_a_hook_missed_is_counted),
	KTAP_TEST(test_a_filter_is_refused),
	KTAP_TEST(test_caps_say_what_is_missing),
	KTAP_TEST(test_stats_and_notify_refuse),
	KTAP_TEST(test_subscribe_refuses),
	KTAP_TEST(test_sync_refuses_each_in_its_way),
	KTAP_TEST(test_a_stranger_invalidates_the_queue),
	KTAP_TEST(test_a_left_session_is_over),
};

KTAP_MAIN(tests)
