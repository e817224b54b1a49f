/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * original_queue.h - a model of the queue that osquery's macOS extension had
 * (kernel/src/circular_queue_kern.c, removed in 2018), to run beside ours.
 *
 * It was written from the behaviour of that file, not from its text. It keeps
 * what matters: commit state in the shared memory, a marker at the end, one
 * counter of drops, a read offset that is accepted when it is in range, and
 * coalescing that releases the lock after each step and continues with the
 * header that it looked up before. @keeps_lock is the only repair.
 */
#ifndef ORIGINAL_QUEUE_H
#define ORIGINAL_QUEUE_H

#include "osq_os.h"

#define ORIGINAL_END 0xffffffffu /* size of the marker: go on at 0 */

struct original_header {
	uint32_t size; /* of the payload */
	uint32_t finished;
	uint64_t time_s;
	uint64_t uptime_s;
};

struct original_queue {
	osq_os_lock_t lock;
	uint8_t *buffer;
	size_t size;
	size_t write, max_read, read; /* offsets; write == read is empty */
	uint64_t drops;
	bool keeps_lock;
	/* Called while coalescing has released the lock; or NULL. */
	void (*in_gap)(struct original_queue *queue);
};

void original_init(struct original_queue *queue, uint8_t *buffer, size_t size,
		   bool keeps_lock);
void *original_reserve(struct original_queue *queue, uint32_t bytes);
/* Return 0, or -1 when the space is not a reservation (any more). */
int original_commit(struct original_queue *queue, void *space);
/* Return 0, or -1 for an offset out of range: all unread is discarded. */
int original_sync(struct original_queue *queue, size_t read, size_t *max_read);

#endif
