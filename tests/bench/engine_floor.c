// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * engine_floor.c - what no ordered queue with this interface can avoid.
 *
 * Each record costs one clock read, one copy and two pairs of lock and unlock.
 * Nothing is checked, counted or freed.
 */
#include "engine.h"
#include "osq_host.h"

static struct {
	osq_os_lock_t lock;
	u8 *data;
	u64 size, write, committed;
} queue;

static bool floor_open(const struct bench_cell *cell)
{
	if (cell->is_load)
		return false;
	osq_os_lock_init(&queue.lock);
	queue.size = cell->ring_bytes;
	queue.data = osq_host_map(queue.size);
	if (queue.data)
		memset(queue.data, 0, queue.size);
	return queue.data;
}

static bool floor_put(void *record, u32 bytes)
{
	u64 pos, time_ns = osq_os_boot_ns();

	osq_os_lock(&queue.lock);
	pos = queue.write;
	queue.write += (bytes + 7) & ~7u;
	osq_os_unlock(&queue.lock, 0);
	memcpy(record, &time_ns, sizeof(time_ns));
	memcpy(queue.data + (pos & (queue.size - 1)), record, bytes);
	osq_os_lock(&queue.lock);
	queue.committed++;
	osq_os_unlock(&queue.lock, 0);
	return true;
}

static void floor_close(void)
{
	osq_host_unmap(queue.data, queue.size);
}

const struct bench_engine engine_floor = {
	.name = "floor",
	.open = floor_open,
	.put = floor_put,
	.close = floor_close,
};
