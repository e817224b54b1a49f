// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * engine_original.c - the model of the original extension's queue, with its
 * fault: under load it may hand out garbage and lose count.
 */
#include "engine.h"
#include "original_queue.h"
#include "osq_host.h"

static struct original_queue queue;
static size_t read_at;

static bool queue_open(const struct bench_cell *cell)
{
	u8 *data = osq_host_map(cell->ring_bytes);

	if (!data)
		return false;
	memset(data, 0, cell->ring_bytes);
	original_init(&queue, data, cell->ring_bytes, false);
	read_at = 0;
	return true;
}

static bool queue_put(void *record, u32 bytes)
{
	void *space = original_reserve(&queue, bytes);

	if (!space)
		return false;
	memcpy(space, record, bytes);
	original_commit(&queue, space);
	return true;
}

/* Return the place after the record at @at, or before it when it is garbage. */
static size_t after(size_t at, struct bench_reader *reader)
{
	const struct original_header *header =
		(const void *)(queue.buffer + at);
	size_t left = queue.size - at;

	if (left < sizeof(*header) || header->size == ORIGINAL_END)
		return 0;
	if (header->size > left - sizeof(*header)) {
		reader->found_garbage = true;
		return at;
	}
	if (!bench_take(reader, (const void *)(header + 1)))
		return at;
	return (at + sizeof(*header) + header->size) % queue.size;
}

static bool queue_read(struct bench_reader *reader)
{
	size_t at = read_at, max_read;

	original_sync(&queue, at, &max_read);
	read_at = max_read;
	while (reader && at != max_read && !reader->found_garbage)
		at = after(at, reader);
	return at != read_at || max_read != queue.read;
}

static u64 queue_drops(void)
{
	return queue.drops;
}

static void queue_close(void)
{
	osq_host_unmap(queue.buffer, queue.size);
}

const struct bench_engine engine_original = {
	.name = "original",
	.open = queue_open,
	.put = queue_put,
	.read = queue_read,
	.drops = queue_drops,
	.close = queue_close,
};
