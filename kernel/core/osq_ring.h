/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * osq_ring.h - a bounded queue of records in memory that a reader maps.
 *
 * Many writers, one reader. Writers reserve, copy and commit, and never
 * wait; a full ring drops and counts. The reader moves only by
 * osq_ring_sync, which trusts nothing that the reader could have written.
 */
#ifndef OSQ_RING_H
#define OSQ_RING_H

#include "osq.h"
#include "osq_os.h"

/*
 * attempts = committed + reserved now + sum of dropped;
 * committed = consumed + reset + in the ring.
 */
struct osq_counters {
	u64 attempts;
	u64 committed;
	u64 consumed;
	u64 reset;
	u64 dropped[OSQ_DROP_COUNT];
	u64 dropped_of[OSQ_TYPE_COUNT];
	struct osq_type_counters type[OSQ_TYPE_COUNT];
	u64 filtered_of[OSQ_TYPE_COUNT]; /* by filters; in no sum; atomic */
};

/*
 * How much of a ring a record may fill. Any user can cause any number of execs,
 * connects or changes of credentials. Changes that raise to rights of root, and
 * actions of root and modules, must still find room then. The last rank is for
 * actions that only root can do.
 */
enum osq_rank {
	OSQ_RANK_ANY, /* all but the kept bytes */
	OSQ_RANK_CRED, /* half of the kept bytes, too: rights of root, not uid 0 */
	OSQ_RANK_ROOT, /* the whole ring */
};

/*
 * Each record writes the first fields and the first of the counters. They lie
 * together, because every line of them comes from another CPU's cache.
 */
struct osq_ring {
	osq_os_lock_t lock; /* protects all below, but not the bytes at data */
	u64 write_pos; /* next reservation; moved by osq_ring_reserve */
	u64 commit_pos; /* none before is busy; moved by _commit, _discard */
	u64 read_pos; /* all before is free; moved by osq_ring_sync */
	u64 last_ts_boot_ns;
	u64 waiting_since_ns; /* when the oldest one began to; if not empty */
	u8 *data; /* size bytes, mapped twice in a row; NULL when closed */
	u64 size; /* a power of two */
	u32 record_max; /* a longer record could never fit */
	u32 watermark; /* the reader is woken at so many unread bytes, */
	u64 latency_ns; /* or when the oldest has waited so long */
	u64 kept; /* bytes that records of OSQ_RANK_ANY do not get */
	u64 *starts; /* bit n: a record begins at byte 8n */
	u64 *busy; /* bit n: that record is reserved and not ended */
	u64 *dead; /* bit n: that record was discarded */
	struct osq_lost lost; /* drops since the last record; none: first_seq 0 */
	struct osq_counters count; /* survives osq_ring_close */
	u64 kept_of[OSQ_TYPE_COUNT]; /* bytes that records of a type do not */
};

/* Is it time for the reader to read? */
enum osq_ready {
	OSQ_READY_NOTHING, /* no: the ring is empty */
	OSQ_READY_LATER, /* not yet: when its latency is over */
	OSQ_READY_NOW,
};

/* A reservation: made by osq_ring_reserve, ended by _commit or _discard. */
struct osq_slot {
	u8 *data; /* len writable bytes, 8-aligned, in one piece */
	u32 len;
	u16 type;
	u64 pos;
	u64 seq;
	u64 ts_boot_ns;
};

/* osq_open.c */
void osq_ring_init(struct osq_ring *ring);
int osq_ring_open(struct osq_ring *ring, void *data, u64 size);
void osq_ring_close(struct osq_ring *ring);

void osq_ring_keep(struct osq_ring *ring, u64 bytes);
int osq_ring_share(struct osq_ring *ring, u32 type, u32 percent);

/* osq_ring.c */
int osq_ring_reserve(struct osq_ring *ring, u16 type, u32 len,
		     enum osq_rank rank, struct osq_slot *slot);
void osq_ring_commit(struct osq_ring *ring, const struct osq_slot *slot);
void osq_ring_discard(struct osq_ring *ring, const struct osq_slot *slot);
void osq_ring_drop(struct osq_ring *ring, u16 type, enum osq_drop reason,
		   u64 count);
void osq_ring_filtered(struct osq_ring *ring, u16 type);
int osq_ring_put(struct osq_ring *ring, struct osq_record *record,
		 enum osq_rank rank);

/* osq_sync.c */
int osq_ring_sync(struct osq_ring *ring, u64 read_pos, struct osq_sync *out);
void osq_ring_stats(struct osq_ring *ring, struct osq_stats *out);
int osq_ring_notify(struct osq_ring *ring, const struct osq_notify *notify);
enum osq_ready osq_ring_ready(struct osq_ring *ring, u64 *wait_ns);

#endif
