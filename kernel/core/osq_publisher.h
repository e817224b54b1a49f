/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
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
	/*
	 * start - hook into the system; records go to @ring until stop.
	 * Context: may sleep; the device's mutex is held.
	 * Return: 0 or a negative errno, and then nothing is hooked.
	 */
	int (*start)(struct osq_ring *ring);
	/*
	 * stop - unhook, and return when no callback is or will be running.
	 * Context: as start.
	 */
	void (*stop)(void);
};

/* The table of the system, ended by an entry without a name. */
extern const struct osq_publisher osq_publishers[];

const struct osq_publisher *osq_publisher_find(u32 type);

#endif
