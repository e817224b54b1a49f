/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* fixture.h - an open ring in this process, and records to put into it. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <stdlib.h>

#include "ktap.h"
#include "osq_host.h"
#include "osq_ring.h"

#define SMALL 8192u

/* Exit if the ring cannot be opened, since no test can run without it. */
static inline void ring_setup(struct osq_ring *ring, u64 size)
{
	void *data = osq_host_map(size);

	osq_ring_init(ring);
	if (!data || osq_ring_open(ring, data, size)) {
		puts("Bail out! no memory for a ring");
		exit(1);
	}
}

static inline void ring_teardown(struct osq_ring *ring)
{
	u8 *data = ring->data;
	u64 size = ring->size;

	osq_ring_close(ring);
	osq_host_unmap(data, size);
}

/* Put a record of @len bytes whose payload repeats @mark. */
static inline int put_marked(struct osq_ring *ring, u32 len, u8 mark)
{
	union {
		struct osq_record record;
		u8 bytes[OSQ_RECORD_MAX_BYTES];
	} one;

	memset(&one, 0, sizeof(one.record));
	memset(one.bytes + sizeof(one.record), mark, len - sizeof(one.record));
	one.record.len = len;
	one.record.type = OSQ_TYPE_EXEC;
	return osq_ring_put(ring, &one.record, OSQ_RANK_ANY);
}

static inline const struct osq_record *record_at(const struct osq_ring *ring,
						 u64 pos)
{
	return (const void *)(ring->data + (pos & (ring->size - 1)));
}

static inline bool is_readable(struct osq_ring *ring)
{
	u64 wait_ns;

	return osq_ring_ready(ring, &wait_ns) != OSQ_READY_NOTHING;
}

static inline int counters_add_up(const struct osq_sync *sync)
{
	u64 left = sync->attempts - sync->committed - sync->in_flight;
	u64 by_reason = 0, by_type = 0;
	int i;

	for (i = 0; i < OSQ_DROP_COUNT; i++)
		by_reason += sync->dropped[i];
	for (i = 0; i < OSQ_TYPE_COUNT; i++)
		by_type += sync->dropped_of[i];
	return left == by_reason && left == by_type &&
	       sync->committed == sync->consumed + sync->pending + sync->reset;
}

#endif
