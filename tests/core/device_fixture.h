/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* device_fixture.h - a session of a device whose publishers do nothing. */
#ifndef OSQ_DEVICE_FIXTURE_H
#define OSQ_DEVICE_FIXTURE_H

#include "fixture.h"
#include "osq_device.h"

#define OTHER_TYPE 9

static int running; /* publishers that run */
static int start_error;
static struct osq_ring *target;
static u64 missed; /* calls that the fake hook missed */
static u64 chosen; /* options of the last start or configure */

static inline int fake_start(struct osq_ring *ring, u64 options)
{
	if (start_error)
		return start_error;
	target = ring;
	chosen = options;
	running++;
	return 0;
}

static inline void fake_configure(u64 options)
{
	chosen = options;
}

static inline u64 fake_missed(void)
{
	return missed;
}

static inline bool fake_probe(void)
{
	return !start_error;
}

static inline void fake_stop(void)
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

static const int owner, stranger; /* identities of processes, by address */
static struct osq_device device;
static struct osq_session session;
static void *memory;

static inline int allocate(u64 bytes)
{
	struct osq_allocate request = {
		.abi = OSQ_ABI_VERSION,
		.ring_bytes = bytes,
	};

	return osq_device_allocate(&device, &session, &request, memory);
}

static inline int subscribe(u32 type, u32 on)
{
	struct osq_subscribe request = { .type = type, .on = on };

	return osq_device_subscribe(&session, &request);
}

static inline int sync_at(u32 generation, u64 pos, struct osq_sync *sync)
{
	memset(sync, 0, sizeof(*sync));
	sync->generation = generation;
	sync->read_pos = pos;
	return osq_device_sync(&session, sync);
}

static inline void setup(void)
{
	memset(&device, 0, sizeof(device));
	memset(&session, 0, sizeof(session));
	memory = osq_host_map(SMALL);
	start_error = 0;
	missed = 0;
	running = 0;
	EXPECT_EQ(osq_device_attach(&device, &session, &owner), 0);
}

static inline void teardown(void)
{
	osq_device_detach(&device, &session);
	osq_host_unmap(memory, SMALL);
	EXPECT_EQ(running, 0);
}

#endif
