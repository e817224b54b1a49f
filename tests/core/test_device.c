// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* test_device.c - owner, allocation, subscription; and the client's parser. */
#include "fixture.h"
#include "ktap.h"
#include "libosq.h"
#include "osq_device.h"

static int started, stopped, refuse;

static int fake_start(struct osq_ring *ring)
{
	(void)ring;
	if (refuse)
		return -EOPNOTSUPP;
	started++;
	return 0;
}

static void fake_stop(void)
{
	stopped++;
}

const struct osq_publisher osq_publishers[] = {
	{ "fake", OSQ_TYPE_EXEC, fake_start, fake_stop },
	{ 0 },
};

static const int me, other;

static struct osq_allocate request_of(u32 abi, u64 bytes)
{
	struct osq_allocate request = { .abi = abi, .ring_bytes = bytes };

	return request;
}

static void one_owner_at_a_time(void)
{
	struct osq_device device = { 0 };
	struct osq_session first, second;

	CHECK(osq_device_attach(&device, &first, &me) == 0);
	CHECK(osq_device_attach(&device, &second, &other) == -EBUSY);
	CHECK(osq_device_may_use(&first, &me) == 0);
	CHECK(osq_device_may_use(&first, &other) == -EPERM);
	osq_device_detach(&device, &first);
	CHECK(osq_device_may_use(&first, &me) == -ESTALE);
	CHECK(osq_device_attach(&device, &second, &other) == 0);
	osq_device_detach(&device, &first);
	CHECK(device.session == &second);
}

static void requests_are_refused_each_in_its_way(void)
{
	struct osq_device device = { 0 };
	struct osq_subscribe subscribe = { OSQ_TYPE_EXEC, 1 };
	struct osq_sync sync = { 0 };
	struct osq_session session;
	struct osq_allocate request;

	osq_device_attach(&device, &session, &me);
	CHECK(osq_device_sync(&session, &sync) == -ENXIO);
	CHECK(osq_device_subscribe(&session, &subscribe) == -ENXIO);
	request = request_of(OSQ_ABI_VERSION + 1, 8192);
	CHECK(osq_device_check_allocate(&session, &request) == -EPROTO);
	request = request_of(OSQ_ABI_VERSION, 8193);
	CHECK(osq_device_check_allocate(&session, &request) == -EINVAL);
	request = request_of(OSQ_ABI_VERSION, 8192);
	request.reserved = 1;
	CHECK(osq_device_check_allocate(&session, &request) == -EINVAL);
	osq_device_detach(&device, &session);
}

static void a_subscription_starts_and_stops_once(void)
{
	struct osq_device device = { .generation = 7 };
	struct osq_subscribe on = { OSQ_TYPE_EXEC, 1 },
			     off = { OSQ_TYPE_EXEC, 0 };
	struct osq_subscribe odd = { OSQ_TYPE_EXEC, 2 }, unknown = { 63, 1 };
	struct osq_allocate request = request_of(OSQ_ABI_VERSION, 8192);
	struct osq_sync sync = { 0 };
	struct osq_session session;
	void *data = osq_host_map(8192);

	started = stopped = 0;
	osq_device_attach(&device, &session, &me);
	CHECK(!osq_device_allocate(&device, &session, &request, data));
	CHECK(request.generation == 8 && request.map_bytes == 16384);
	CHECK(osq_device_check_allocate(&session, &request) == -EEXIST);
	CHECK(osq_device_sync(&session, &sync) == -ESTALE);
	sync.generation = 8;
	sync.flags = 0x80;
	CHECK(osq_device_sync(&session, &sync) == -EINVAL);
	CHECK(osq_device_subscribe(&session, &odd) == -EINVAL);
	CHECK(osq_device_subscribe(&session, &unknown) == -EINVAL);
	refuse = 1;
	CHECK(osq_device_subscribe(&session, &on) == -EOPNOTSUPP);
	refuse = 0;
	CHECK(!osq_device_subscribe(&session, &on));
	CHECK(!osq_device_subscribe(&session, &on) && started == 1);
	CHECK(!osq_device_subscribe(&session, &off));
	CHECK(!osq_device_subscribe(&session, &off) && stopped == 1);
	CHECK(!osq_device_subscribe(&session, &on));
	osq_device_detach(&device, &session);
	osq_device_detach(&device, &session);
	CHECK(started == 2 && stopped == 2);
	osq_ring_deinit(&session.ring);
	osq_host_unmap(data, 8192);
}

/* What the client makes of a record of the given head. */
static int parsed(u32 len, u64 pos, u64 seq)
{
	static u8 bytes[16384];
	struct osq_record *head = (void *)bytes;
	const struct osq_record *found;
	struct osq_client client = {
		.ring = bytes,
		.ring_bytes = 8192,
		.max_pos = 256,
		.last_seq = 4,
	};

	memset(bytes, 0, sizeof(bytes));
	head->len = len;
	head->pos = pos;
	head->seq = seq;
	return osq_client_next(&client, &found);
}

static void the_client_refuses_corrupt_records(void)
{
	struct osq_client lost = { .ring_bytes = 8192, .max_pos = 1ull << 40 };
	static u8 bytes[8192];
	const struct osq_record *found;

	CHECK(parsed(256, 0, 5) == 1);
	CHECK(parsed(0, 0, 5) == -EBADMSG);
	CHECK(parsed(56, 0, 5) == -EBADMSG);
	CHECK(parsed(100, 0, 5) == -EBADMSG);
	CHECK(parsed(264, 0, 5) == -EBADMSG);
	CHECK(parsed(0xfffffff8u, 0, 5) == -EBADMSG);
	CHECK(parsed(256, 8, 5) == -EBADMSG);
	CHECK(parsed(256, 0, 4) == -EBADMSG);
	lost.ring = bytes;
	CHECK(osq_client_next(&lost, &found) == -EBADMSG);
}

static void spans_outside_of_a_record_are_refused(void)
{
	static const struct osq_span bad[] = {
		{ 0, 8 },
		{ 63, 1 },
		{ 257, 0 },
		{ 64, 193 },
		{ 256, 1 },
		{ 0xffffffffu, 2 },
		{ 64, 0xffffffffu },
	};
	struct osq_record record = { .len = 256 };
	struct osq_span good = { 64, 192 };
	size_t i;

	CHECK(osq_client_bytes(&record, &good) == (const char *)&record + 64);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!osq_client_bytes(&record, &bad[i]));
}

static void the_law_is_checked(void)
{
	struct osq_sync sync = { .attempts = 10,
				 .committed = 6,
				 .consumed = 4,
				 .pending = 2,
				 .in_flight = 1 };

	sync.dropped[OSQ_DROP_FULL] = 3;
	CHECK(osq_client_law_holds(&sync));
	sync.attempts = 11;
	CHECK(!osq_client_law_holds(&sync));
	sync.attempts = 10;
	sync.pending = 1;
	CHECK(!osq_client_law_holds(&sync));
}

int main(void)
{
	printf("KTAP version 1\n1..6\n");
	RUN(one_owner_at_a_time);
	RUN(requests_are_refused_each_in_its_way);
	RUN(a_subscription_starts_and_stops_once);
	RUN(the_client_refuses_corrupt_records);
	RUN(spans_outside_of_a_record_are_refused);
	RUN(the_law_is_checked);
	return ktap_bad ? 1 : 0;
}
