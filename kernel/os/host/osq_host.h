/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * osq_host.h - memory for the core in a process, a clock to stop, and what the
 * core has done under its locks.
 */
#ifndef OSQ_HOST_H
#define OSQ_HOST_H

#include <stddef.h>

void *osq_host_map(size_t size);
void *osq_host_map_shared(size_t size, int *memory);
void osq_host_unmap(void *data, size_t size);

/* Stop the clock at @ns; 0 starts it again. */
void osq_host_stop_clock(unsigned long long ns);

/* What one thread has done; all but the first while it held a lock. */
struct osq_host_work {
	unsigned long long locks; /* how often it took one */
	unsigned long long most_words; /* of bitmaps, counted under one lock */
	unsigned long long clock_reads;
	unsigned long long copied_bytes;
};

/* Return what this thread has done since it called this last. */
struct osq_host_work osq_host_work(void);

#endif
