/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * osq_publisher.h - a source of records: one entry of a table, one file.
 *
 * A new source is a new file in os/<system>/ and a line in its table; the
 * core does not change.
 */
#ifndef OSQ_PUBLISHER_H
#define OSQ_PUBLISHER_H

#include "osq_ring.h"

struct osq_publisher {
	const char *name;
	u32 type; /* of the records it makes */
	u64 options; /* options of osq_subscribe that it supports */
	u32 filters; /* OSQ_FILTER_BY_* that it supports */
	/*
	 * probe - does this system have the hook? NULL: it always does.
	 * Context: may sleep; the device's mutex is held.
	 */
	bool (*probe)(void);
	/*
	 * start - hook into the system; records go to @ring until stop.
	 * Context: as probe.
	 * Return: 0 or a negative errno, and then nothing is hooked;
	 * -EOPNOTSUPP where probe returns false.
	 */
	int (*start)(struct osq_ring *ring, u64 options);
	/*
	 * configure - change options while started; NULL when there are
	 * none. Context: as probe.
	 */
	void (*configure)(u64 options);
	/*
	 * stop - unhook, and return when no callback is or will be running.
	 * Context: as probe.
	 */
	void (*stop)(void);
	/*
	 * missed - how many calls of the hook the system skipped since start
	 * (a kprobe's nmissed); only grows, and can be read after stop, too.
	 * The core counts them as OSQ_DROP_MISSED before it returns counters,
	 * and after stop. NULL: its hook is called each time.
	 * Context: as probe.
	 */
	u64 (*missed)(void);
	/*
	 * is_off - is its hook switched off, so that calls are neither recorded
	 * nor counted? Called while started. NULL: the hook cannot be off.
	 * Context: as probe.
	 */
	bool (*is_off)(void);
};

/* The system's table; an entry without a name ends it. */
extern const struct osq_publisher osq_publishers[];

const struct osq_publisher *osq_publisher_find(u32 type);

#endif
