/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* produce.h - the publishers of osqhostd, and what makes them publish. */
#ifndef PRODUCE_H
#define PRODUCE_H

#include <stdint.h>

#include "osq.h"

/* Publish @count programs at once, and return when it is done. */
void produce_burst(uint64_t count);

/* A program, as far as a filter asks about it. */
struct program {
	uint32_t uid;
	uint32_t pid_ns; /* inode; no namespace is below another here */
	uint64_t cgroup_id; /* nor is a group */
	const char *path; /* up to PROGRAM_PATH_MAX bytes */
};

#define PROGRAM_PATH_MAX 255

/*
 * Write every event that happens from now on into a file, whether anybody
 * records it or not: its number and the time since boot, in nanoseconds, each
 * an unsigned 64-bit number. Event N has the pid, or the child's pid, N + 2 up
 * to the four millionth. What a filter keeps out is left out here, too.
 */
int produce_ledger(const char *path);

/* Write the file to its end. */
void produce_ledger_flush(void);

/* Publish one program. */
void produce_program(const struct program *program);

/*
 * Publish a record as it is, if its type is subscribed to and the options of
 * the subscription want it; the ring gives it its number and its time.
 */
void produce_record(struct osq_record *record);

/* Have a filter, which the core has checked, decide on its type. */
void produce_filter(const struct osq_filter *filter);

/* Let everything in again. */
void produce_unfiltered(void);

/*
 * Publish so many records a second from now on, from two threads: of eight,
 * two forks, two exits, four programs. 0 ends it, and returns when it has.
 */
void produce_rate(uint64_t per_second);

#endif
