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

#ifdef __cplusplus
extern "C" {
#endif

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
 * Each function returns 0 or a negative errno, with the meanings of osq.h.
 * @device: NULL for OSQ_DEVICE.
 */
int osq_client_open(struct osq_client *client, const char *device,
		    uint64_t ring_bytes);
/*
 * Allocate a new ring on the same descriptor, after -ESTALE. All subscriptions
 * have ended, and records that were handed out are invalid. osq_client_open
 * calls this, too.
 */
int osq_client_allocate(struct osq_client *client, uint64_t ring_bytes);
void osq_client_close(struct osq_client *client);
/* @options: those that osq.h defines for this type, else 0. */
int osq_client_subscribe(struct osq_client *client, uint32_t type, int on,
			 uint64_t options);
/*
 * Watch a path and everything below it, or, without @actions, end its watch. A
 * subscription to OSQ_TYPE_FILE is required. See struct osq_watch.
 */
int osq_client_watch(struct osq_client *client, const char *path,
		     uint64_t actions);
int osq_client_caps(struct osq_client *client, struct osq_caps *caps);
/* Set when poll, and sync with @wait, report records; see osq.h. */
int osq_client_notify(struct osq_client *client, uint32_t watermark_bytes,
		      uint32_t latency_ms);
/* Let records of @type fill the ring up to @percent only; see struct osq_share. */
int osq_client_share(struct osq_client *client, uint32_t type,
		     uint32_t percent);
/* Set the whole filter of filter->type; it replaces the earlier one. */
int osq_client_filter(struct osq_client *client,
		      const struct osq_filter *filter);
/*
 * Give up all capabilities of the calling thread, for good: after open, and
 * after paths are looked up, reading needs none. No child of it gets any.
 */
int osq_client_give_up_rights(void);
/* The same, but for the capabilities whose bits are in @kept. */
int osq_client_limit_rights(uint64_t kept);
int osq_client_stats(struct osq_client *client, struct osq_stats *stats);

/*
 * Release the records that were read, and get the new positions and counters.
 * With @wait the call sleeps until there is a record; a signal ends it with
 * -EINTR.
 */
int osq_client_sync(struct osq_client *client, int wait);

/*
 * Get the next record before max_pos; it is valid until the next sync.
 * Discarded reservations are skipped.
 * Returns 1 with *record set, 0 when there is none, -EBADMSG for bytes that
 * cannot be a record (the caller should then close).
 */
int osq_client_next(struct osq_client *client,
		    const struct osq_record **record);

/* Return the bytes of a span, or NULL when the span leads out of its record. */
const char *osq_client_bytes(const struct osq_record *record,
			     const struct osq_span *span);

/*
 * Check the equations of the counters in osq.h. Returns NULL when all of them
 * are true, else the false equation as text.
 */
const char *osq_client_broken_law(const struct osq_sync *sync);
const char *osq_client_broken_stats(const struct osq_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
