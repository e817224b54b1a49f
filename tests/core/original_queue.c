// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* original_queue.c - see original_queue.h. */
#include "original_queue.h"

#include <string.h>
#include <time.h>

#define HEADER sizeof(struct original_header)

void original_init(struct original_queue *queue, uint8_t *buffer, size_t size,
		   bool keeps_lock)
{
	memset(queue, 0, sizeof(*queue));
	osq_os_lock_init(&queue->lock);
	queue->buffer = buffer;
	queue->size = size;
	queue->keeps_lock = keeps_lock;
}

static struct original_header *header_at(const struct original_queue *queue,
					 size_t at)
{
	return (struct original_header *)(queue->buffer + at);
}

/* Bytes from @from to @to across the end; @full when both are equal. */
static size_t distance(const struct original_queue *queue, size_t from,
		       size_t to, size_t full)
{
	if (from == to)
		return full;
	return to > from ? to - from : queue->size - from + to;
}

/* Return whether @bytes at @at lie between @from and @to, across the end. */
static bool is_between(size_t at, size_t from, size_t to, size_t bytes)
{
	if (from <= to)
		return from <= at && at + bytes <= to;
	return at + bytes <= to || from <= at;
}

void *original_reserve(struct original_queue *queue, uint32_t bytes)
{
	size_t need = HEADER + bytes, at = queue->size;

	osq_os_lock(&queue->lock);
	if (distance(queue, queue->write, queue->read, queue->size) > need) {
		size_t left = queue->size - queue->write;

		if (left >= need) {
			at = queue->write;
		} else if (queue->read > need) {
			if (left >= HEADER)
				header_at(queue, queue->write)->size =
					ORIGINAL_END;
			at = 0;
		}
	}
	if (at == queue->size) {
		queue->drops++;
		osq_os_unlock(&queue->lock, 0);
		return NULL;
	}
	queue->write = (at + need) % queue->size;
	header_at(queue, at)->size = bytes;
	header_at(queue, at)->finished = 0;
	osq_os_unlock(&queue->lock, 0);
	return header_at(queue, at) + 1;
}

/*
 * Move max_read over finished records. The lock is held, but not all the
 * time, which is the fault. Another commit may move max_read, a reader may
 * free what lies before it, and a writer may fill that, while @at stays.
 */
static void coalesce(struct original_queue *queue)
{
	size_t at = queue->max_read;

	while (is_between(at, queue->max_read, queue->write, HEADER)) {
		const struct original_header *header = header_at(queue, at);

		if (at + HEADER > queue->size || header->size == ORIGINAL_END) {
			queue->max_read = 0;
			at = 0;
			continue;
		}
		if (!header->finished)
			break;
		queue->max_read =
			(queue->max_read + HEADER + header->size) % queue->size;
		at = queue->max_read;
		if (!queue->keeps_lock) {
			osq_os_unlock(&queue->lock, 0);
			if (queue->in_gap)
				queue->in_gap(queue);
			osq_os_lock(&queue->lock);
		}
	}
}

static uint64_t now_s(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec;
}

int original_commit(struct original_queue *queue, void *space)
{
	struct original_header *header = (struct original_header *)space - 1;
	size_t at = (size_t)((uint8_t *)header - queue->buffer);
	int err = -1;

	osq_os_lock(&queue->lock);
	if (is_between(at, queue->max_read, queue->write, HEADER) &&
	    header->size != ORIGINAL_END && !header->finished) {
		header->finished = 1;
		header->time_s = now_s(CLOCK_REALTIME);
		header->uptime_s = now_s(CLOCK_MONOTONIC);
		coalesce(queue);
		err = 0;
	}
	osq_os_unlock(&queue->lock, 0);
	return err;
}

int original_sync(struct original_queue *queue, size_t read, size_t *max_read)
{
	int err = 0;

	osq_os_lock(&queue->lock);
	if (is_between(read, queue->read, queue->max_read, 0)) {
		queue->read = read;
	} else {
		queue->read = queue->max_read;
		err = -1;
	}
	*max_read = queue->max_read;
	osq_os_unlock(&queue->lock, 0);
	return err;
}
