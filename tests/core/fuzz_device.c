// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * fuzz_device.c - make any sequence of calls to the device, with writers in
 * between; check counters and bounds after each call (libFuzzer).
 */
#include <stdlib.h>
#include <string.h>

#include "osq_device.h"
#include "osq_filter.h"
#include "osq_host.h"

#define RING_BYTES 8192u
#define SLOTS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct osq_ring *target;

static int start(struct osq_ring *ring, u64 options)
{
	(void)options;
	target = ring;
	return 0;
}

static void stop(void)
{
	target = NULL;
}

const struct osq_publisher osq_publishers[] = {
	{ .name = "exec",
	  .type = OSQ_TYPE_EXEC,
	  .options = OSQ_EXEC_ENV,
	  .filters = OSQ_FILTER_BY_UID | OSQ_FILTER_BY_PID_NS |
		     OSQ_FILTER_BY_CGROUP | OSQ_FILTER_BY_PATH,
	  .start = start,
	  .stop = stop },
	{ 0 },
};

struct input {
	const uint8_t *at;
	size_t left;
};

static u64 take(struct input *input, size_t bytes)
{
	u64 value = 0;

	if (bytes > input->left)
		bytes = input->left;
	memcpy(&value, input->at, bytes);
	input->at += bytes;
	input->left -= bytes;
	return value;
}

static void require(bool holds)
{
	if (!holds)
		abort();
}

static const int people[2]; /* identities of processes, by address */
static struct osq_device device;
static struct osq_session session;
static struct osq_slot slots[SLOTS];
static u8 open_slots; /* bit n: slots[n] is reserved */
static void *memory;

static void check_sync(struct input *input)
{
	struct osq_sync sync = { .generation = session.generation };
	u64 dropped = 0, by_type = 0, before = session.ring.read_pos;
	int i;

	sync.generation += (take(input, 1) & 7) == 0;
	sync.flags = take(input, 1) & 3;
	sync.read_pos = session.ring.read_pos + take(input, 2);
	if (osq_device_sync(&session, &sync)) {
		require(session.ring.read_pos == before);
		return;
	}
	for (i = 0; i < OSQ_DROP_COUNT; i++)
		dropped += sync.dropped[i];
	for (i = 0; i < OSQ_TYPE_COUNT; i++)
		by_type += sync.dropped_of[i];
	require(sync.attempts == sync.committed + sync.in_flight + dropped);
	require(sync.committed == sync.consumed + sync.pending + sync.reset);
	require(dropped == by_type);
	require(sync.max_pos - sync.read_pos <= session.ring.size);
}

/* Allocate as the owner's system does: check, get memory, allocate. */
static void allocate(struct input *input)
{
	struct osq_allocate request = {
		.abi = take(input, 1) & 7 ? OSQ_ABI_VERSION : 9,
		.ring_bytes = take(input, 1) & 7 ? RING_BYTES : take(input, 8),
	};

	if (request.ring_bytes == RING_BYTES)
		osq_device_allocate(&device, &session, &request, memory);
	else
		require(osq_device_check_allocate(&session, &request) != 0 ||
			request.ring_bytes > RING_BYTES);
}

static void write_some(struct input *input)
{
	u8 which = take(input, 1) % SLOTS;
	u32 len = (u32)take(input, 2);

	if (!target)
		return;
	if (open_slots >> which & 1) {
		if (len & 1)
			osq_ring_commit(target, &slots[which]);
		else
			osq_ring_discard(target, &slots[which]);
		open_slots &= (u8) ~(1u << which);
	} else if (!osq_ring_reserve(target, OSQ_TYPE_EXEC, len, OSQ_RANK_ANY,
				     &slots[which])) {
		memset(slots[which].data, 0xa5, slots[which].len);
		open_slots |= (u8)(1u << which);
	}
}

/* End all writers, as the system waits for them when publishers stop. */
static void end_writers(void)
{
	int i;

	for (i = 0; i < SLOTS; i++)
		if (open_slots >> i & 1)
			osq_ring_discard(target, &slots[i]);
	open_slots = 0;
}

/*
 * Use any bytes as a filter. They lie on the heap, so that the sanitizer sees
 * an access beyond them. A filter that is accepted is applied to a process.
 */
static void filter_some(struct input *input)
{
	struct osq_filter *filter = calloc(1, sizeof(*filter));
	char path[64];
	struct osq_subject subject = { .uid = (u32)take(input, 1),
				       .path_bytes = (u32)take(input, 1) % 64 };
	size_t i;

	filter->type = OSQ_TYPE_EXEC;
	filter->exclude = (u32)take(input, 1) & 0x1f;
	filter->uid_count = (u32)take(input, 1) % 34;
	filter->path_count = (u32)take(input, 1) % 34;
	for (i = 0; i < 4; i++) {
		filter->paths[i].off = (u32)take(input, 2) % 4098;
		filter->paths[i].len = (u32)take(input, 1);
	}
	for (i = 0; i < 64; i++) {
		path[i] = (char)take(input, 1);
		filter->bytes[i] = (u8)path[i];
		filter->bytes[OSQ_FILTER_PATH_BYTES - 64 + i] = (u8)path[i];
	}
	subject.path = path;
	if (!osq_device_check_filter(&session, filter)) {
		require(session.queue == OSQ_QUEUE_VALID);
		require(filter->path_count <= OSQ_FILTER_LIST_MAX);
		if (osq_filter_lets(filter, &subject) && !filter->exclude &&
		    filter->uid_count)
			require(osq_filter_has_uid(filter, subject.uid));
	}
	free(filter);
}

static void step(struct input *input)
{
	struct osq_subscribe subscribe;
	struct osq_notify notify;
	u64 wait_ns;

	switch (take(input, 1) % 9) {
	case 0:
		allocate(input);
		break;
	case 1:
		subscribe.type = (u32)take(input, 1) % 5;
		subscribe.on = (u32)take(input, 1) % 3;
		subscribe.options = take(input, 1) % 3;
		if (!subscribe.on)
			end_writers();
		osq_device_subscribe(&session, &subscribe);
		break;
	case 2:
		notify.watermark_bytes = (u32)take(input, 4);
		notify.latency_ms = (u32)take(input, 4);
		osq_device_notify(&session, &notify);
		osq_ring_ready(&session.ring, &wait_ns);
		break;
	case 3:
		if (osq_device_may_use(&session, &people[1]) == -EPERM) {
			end_writers();
			osq_device_invalidate(&session);
		}
		break;
	case 4:
		check_sync(input);
		break;
	case 5:
		filter_some(input);
		break;
	default:
		write_some(input);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };

	if (!memory)
		memory = osq_host_map(RING_BYTES);
	memset(&device, 0, sizeof(device));
	memset(&session, 0, sizeof(session));
	require(!osq_device_attach(&device, &session, &people[0]));
	while (input.left)
		step(&input);
	end_writers();
	osq_device_detach(&device, &session);
	require(!target && !device.session);
	return 0;
}
