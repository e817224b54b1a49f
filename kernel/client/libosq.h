/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
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

/* Each returns 0 or a negative errno. */
int osq_client_open(struct osq_client *client, uint64_t ring_bytes);
/*
 * A new ring on the same descriptor, after -ESTALE: nothing is subscribed,
 * records that were handed out are gone. osq_client_open does this, too.
 */
int osq_client_allocate(struct osq_client *client, uint64_t ring_bytes);
void osq_client_close(struct osq_client *client);
int osq_client_subscribe(struct osq_client *client, uint32_t type, int on);

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

/* Does the law of osq.h hold for the last sync? 1 or 0. */
int osq_client_law_holds(const struct osq_sync *stats);

#endif
