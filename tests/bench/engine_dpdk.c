// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * engine_dpdk.c - DPDK's rte_ring, many producers, one consumer, zero copy.
 *
 * Its elements have one length, so the ring is made for that of the cell. It
 * reads no clock and counts no drops. HTS is its only mode for many producers
 * that lets them copy into the ring's memory.
 */
#include <rte_ring.h>
#include <rte_ring_peek_zc.h>

#include "engine.h"
#include "osq_host.h"

#define READ_AT_ONCE 64u

static struct rte_ring *ring;
static size_t map_bytes;
static u32 element_bytes;
static u64 dropped;

static u32 elements_in(u64 bytes)
{
	u32 count = 2;

	while ((u64)count * 2 * element_bytes <= bytes)
		count *= 2;
	return count;
}

static bool dpdk_open(const struct bench_cell *cell)
{
	u32 count;

	element_bytes = (cell->record_bytes + 3) & ~3u;
	count = elements_in(cell->ring_bytes);
	map_bytes = (size_t)rte_ring_get_memsize_elem(element_bytes, count);
	map_bytes = (map_bytes + 4095) & ~(size_t)4095;
	ring = osq_host_map(map_bytes);
	dropped = 0;
	if (!ring)
		return false;
	memset(ring, 0, map_bytes);
	return !rte_ring_init(ring, "bench", count,
			      RING_F_MP_HTS_ENQ | RING_F_SC_DEQ);
}

static bool dpdk_put(void *record, u32 bytes)
{
	struct rte_ring_zc_data space;

	if (!rte_ring_enqueue_zc_bulk_elem_start(ring, element_bytes, 1, &space,
						 NULL)) {
		osq_os_count_up(&dropped);
		return false;
	}
	memcpy(space.ptr1, record, bytes);
	rte_ring_enqueue_zc_elem_finish(ring, 1);
	return true;
}

static void look_at(const u8 *elements, u32 count, struct bench_reader *reader)
{
	u32 i;

	for (i = 0; i < count && !reader->found_garbage; i++)
		bench_take(reader, (const void *)(elements +
						  (size_t)i * element_bytes));
}

static bool dpdk_read(struct bench_reader *reader)
{
	struct rte_ring_zc_data records;
	bool any = false;
	u32 count;

	while ((count = rte_ring_dequeue_zc_burst_elem_start(
			ring, element_bytes, READ_AT_ONCE, &records, NULL))) {
		if (reader) {
			look_at(records.ptr1, records.n1, reader);
			look_at(records.ptr2, count - records.n1, reader);
		}
		rte_ring_dequeue_zc_elem_finish(ring, count);
		any = true;
	}
	return any;
}

static u64 dpdk_drops(void)
{
	return osq_os_count(&dropped);
}

static void dpdk_close(void)
{
	osq_host_unmap(ring, map_bytes);
}

const struct bench_engine engine_dpdk = {
	.name = "rte_ring",
	.open = dpdk_open,
	.put = dpdk_put,
	.read = dpdk_read,
	.drops = dpdk_drops,
	.close = dpdk_close,
};
