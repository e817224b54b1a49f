/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * engine.h - a queue under measurement: what each rival of the ring offers.
 *
 * Every engine has one queue at a time. bench_ring.c has the table of those
 * that this machine can build.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include "osq_os.h"

#define BENCH_RECORD_MAX 4120u
#define BENCH_PRODUCERS_MAX 4u
#define BENCH_MAGIC 0x71736f21u

/* One combination of sizes that all engines are measured with. */
struct bench_cell {
	u64 ring_bytes; /* a power of two; memory for all producers together */
	u32 record_bytes;
	u32 producers;
	bool is_load; /* a fixed load with a reader, not the cost of a put */
};

/* By this a reader recognises a record, and notices one that is garbage. */
struct bench_stamp {
	u64 number; /* of the producer's attempt */
	u32 producer;
	u32 magic;
};

struct bench_reader {
	u64 read;
	u64 next[BENCH_PRODUCERS_MAX];
	bool found_garbage;
};

struct bench_engine {
	const char *name;
	u32 stamp_at; /* where in a record its stamp is */
	/* Return false when it cannot run now; the memory has been touched. */
	bool (*open)(const struct bench_cell *cell);
	/* Return false when the record was dropped. Any producer's thread. */
	bool (*put)(void *record, u32 bytes);
	/*
	 * read - free all records that are committed; one thread at a time.
	 * @reader: looks at each of them; NULL frees them unseen.
	 * Return: whether there were any. NULL: the engine overwrites, or
	 * another process reads.
	 */
	bool (*read)(struct bench_reader *reader);
	u64 (*drops)(void); /* as the engine counts them; NULL: as read */
	void (*close)(void);
};

extern const struct bench_engine engine_floor, engine_ours, engine_original;
extern const struct bench_engine engine_dpdk, engine_lttng;

/* Take one record into account. Return false when it is garbage. */
static inline bool bench_take(struct bench_reader *reader,
			      const struct bench_stamp *stamp)
{
	if (stamp->magic != BENCH_MAGIC ||
	    stamp->producer >= BENCH_PRODUCERS_MAX ||
	    stamp->number < reader->next[stamp->producer]) {
		reader->found_garbage = true;
		return false;
	}
	reader->next[stamp->producer] = stamp->number + 1;
	reader->read++;
	return true;
}

#endif
