/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* measure.h - the cost of one record, and what happens under a fixed load. */
#ifndef MEASURE_H
#define MEASURE_H

#include "engine.h"

#define BENCH_BATCHES 100u /* of each producer in one round */
#define BENCH_SINGLES 2000u /* records timed by themselves, likewise */

/* One round of one engine; its producers run side by side. */
struct bench_round {
	double batch_ns; /* of one record: the median of all batches */
	double records_per_s; /* of all producers, while they put */
	u64 drops;
};

struct bench_load {
	u64 made, read, drops;
	u64 error; /* of several loads: the sum of what each has unaccounted for */
	bool found_garbage;
};

u64 bench_now_ns(void);
int bench_compare(const void *one, const void *other);

/*
 * bench_measure - let @cell's producers put records as fast as they can.
 * @singles: filled with BENCH_SINGLES times for each producer, in ns, each
 * with one read of the clock; they come after the batches.
 */
void bench_measure(const struct bench_engine *engine,
		   const struct bench_cell *cell, struct bench_round *round,
		   double *singles);

/* bench_load_run - put @per_s records in all for @duration_ms, and read them. */
void bench_load_run(const struct bench_engine *engine,
		    const struct bench_cell *cell, u64 per_s, u64 duration_ms,
		    struct bench_load *load);

/*
 * bench_sections - print how long a put holds the lock when the same CPU had
 * it before, and when another one had it.
 */
void bench_sections(void);

#endif
