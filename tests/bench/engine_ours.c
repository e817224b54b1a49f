// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* engine_ours.c - the driver's ring. */
#include "engine.h"
#include "osq_host.h"
#include "osq_ring.h"

static struct osq_ring ring;
static u64 read_pos;

static bool ours_open(const struct bench_cell *cell)
{
	u8 *data = osq_host_map(cell->ring_bytes);

	osq_ring_init(&ring);
	read_pos = 0;
	if (!data || osq_ring_open(&ring, data, cell->ring_bytes))
		return false;
	memset(data, 0, cell->ring_bytes);
	return true;
}

/* A record is never shorter than its head, so 37 bytes take 64. */
static bool ours_put(void *record, u32 bytes)
{
	struct osq_record *head = record;

	head->len = bytes < sizeof(*head) ? (u32)sizeof(*head) : bytes;
	head->type = OSQ_TYPE_EXEC;
	return !osq_ring_put(&ring, head, OSQ_RANK_ANY);
}

static bool ours_read(struct bench_reader *reader)
{
	struct osq_sync sync;
	u64 at = read_pos;

	if (osq_ring_sync(&ring, at, &sync))
		abort();
	read_pos = sync.max_pos;
	while (reader && at != sync.max_pos) {
		const struct osq_record *head =
			(const void *)(ring.data + (at & (ring.size - 1)));

		if (head->type == OSQ_TYPE_EXEC &&
		    !bench_take(reader, (const void *)&head->start_boot_ns))
			break;
		at += head->len;
	}
	return read_pos != at || sync.pending;
}

static u64 ours_drops(void)
{
	return ring.count.dropped[OSQ_DROP_FULL];
}

static void ours_close(void)
{
	u8 *data = ring.data;
	u64 size = ring.size;

	osq_ring_close(&ring);
	osq_host_unmap(data, size);
}

const struct bench_engine engine_ours = {
	.name = "ours",
	.stamp_at = offsetof(struct osq_record, start_boot_ns),
	.open = ours_open,
	.put = ours_put,
	.read = ours_read,
	.drops = ours_drops,
	.close = ours_close,
};
