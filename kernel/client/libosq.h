/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libosq.h - read /dev/osquery: open, subscribe, next record, sync.
 *
 * One thread at a time. Every length and offset that comes out of the ring
 * is checked before it is used: a corrupt record is an error, not a crash.
 */
#ifndef LIBOSQ_H
#define LIBOSQ_H

#include <stddef.h>
#include <stdint.h>

#include "osq.h"

struct osq_client {
	int fd;
	const uint8_t *ring;
	uint64_t ring_bytes;
	uint64_t map_bytes;
	uint32_t generation;
	uint64_t read_pos; /* consumed by the caller */
	uint64_t max_pos; /* may be read */
	uint64_t last_seq; /* of the last record that was handed out */
	struct osq_sync stats; /* of the last sync */
};

/*
 * Each returns 0 or a negative errno, with the meanings of osq.h.
 * @device: NULL for OSQ_DEVICE.
 */
int osq_client_open(struct osq_client *client, const char *device,
		    uint64_t ring_bytes);
/*
 * A new ring on the same descriptor, after -ESTALE: nothing is subscribed,
 * records that were handed out are gone. osq_client_open does this, too.
 */
int osq_client_allocate(struct osq_client *client, uint64_t ring_bytes);
void osq_client_close(struct osq_client *client);
/* @options: as osq.h has them for that type, else 0. */
int osq_client_subscribe(struct osq_client *client, uint32_t type, int on,
			 uint64_t options);
/*
 * Watch a path and what is below it, or, with no @actions, watch it no more.
 * There is a subscription to OSQ_TYPE_FILE. See struct osq_watch.
 */
int osq_client_watch(struct osq_client *client, const char *path,
		     uint64_t actions);
int osq_client_caps(struct osq_client *client, struct osq_caps *caps);
/* When sync with @wait, and poll, are to see what there is; see osq.h. */
int osq_client_notify(struct osq_client *client, uint32_t watermark_bytes,
		      uint32_t latency_ms);
/* The whole filter of filter->type, in the place of the one before. */
int osq_client_filter(struct osq_client *client,
		      const struct osq_filter *filter);
int osq_client_stats(struct osq_client *client, struct osq_stats *stats);

/*
 * Give back what was read, learn what there is. With @wait the call sleeps
 * until there is something; a signal ends it with -EINTR.
 */
int osq_client_sync(struct osq_client *client, int wait);

/*
 * The next record before max_pos, valid until the next sync. Discarded
 * reservations are passed over.
 * Returns 1 with *record set, 0 when there is none, -EBADMSG for a record
 * that cannot be right (the caller should close).
 */
int osq_client_next(struct osq_client *client,
		    const struct osq_record **record);

/* The bytes of a span, or NULL when it does not lie inside of its record. */
const char *osq_client_bytes(const struct osq_record *record,
			     const struct osq_span *span);

/*
 * Recompute the law of osq.h. NULL when all of it holds, else the equation
 * that does not, as text.
 */
const char *osq_client_broken_law(const struct osq_sync *sync);
const char *osq_client_broken_stats(const struct osq_stats *stats);

#endif
