// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* fixture.c - see fixture.h. */
#include "fixture.h"

#include <stdlib.h>

#include "libosq.h"

void fixture_init(struct fixture *fixture, u64 size)
{
	fixture->size = size;
	fixture->data = osq_host_map(size);
	if (!fixture->data ||
	    osq_ring_init(&fixture->ring, fixture->data, size))
		abort();
}

void fixture_deinit(struct fixture *fixture)
{
	osq_ring_deinit(&fixture->ring);
	osq_host_unmap(fixture->data, fixture->size);
}

static u8 tail_byte(u32 seed, u32 index)
{
	return (u8)(seed * 31 + index * 7);
}

int fixture_put(struct fixture *fixture, u32 len, u32 seed)
{
	union {
		struct osq_record record;
		u8 bytes[OSQ_RECORD_MAX_BYTES];
	} buffer;
	u32 index;

	memset(&buffer.record, 0, sizeof(buffer.record));
	buffer.record.len = len;
	buffer.record.type = OSQ_TYPE_EXEC;
	buffer.record.tid = seed;
	for (index = sizeof(buffer.record); index < len; index++)
		buffer.bytes[index] = tail_byte(seed, index);
	return osq_ring_put(&fixture->ring, &buffer.record);
}

bool fixture_intact(const struct fixture *fixture, u64 pos)
{
	const u8 *bytes =
		(const u8 *)fixture->data + (pos & (fixture->size - 1));
	const struct osq_record *record = (const void *)bytes;
	u32 index;

	if (record->pos != pos || record->reserved)
		return false;
	for (index = sizeof(*record); index < record->len; index++)
		if (bytes[index] != tail_byte(record->tid, index))
			return false;
	return true;
}

struct osq_sync fixture_sync(struct fixture *fixture, u64 read_pos, int *err)
{
	struct osq_sync sync = { 0 };

	*err = osq_ring_sync(&fixture->ring, read_pos, &sync);
	return sync;
}

bool fixture_law(const struct osq_sync *sync)
{
	return osq_client_law_holds(sync);
}

u32 fixture_random(u32 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}
