// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * measure.c - the cost of one record while producers are as fast as they can.
 *
 * Batches are timed, since a clock read costs about as much as a record. The
 * producers begin each batch together; after it, outside of the timed part, one
 * of them frees the ring, so nothing is dropped.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "measure.h"

/* Two batches of each producer must fit into the smallest ring. */
#define BATCH_BYTES 65536u
#define BATCH_RECORDS 64u

struct producer {
	const struct bench_engine *engine;
	const struct bench_cell *cell;
	pthread_barrier_t *barrier;
	u64 begun_ns[BENCH_BATCHES], ended_ns[BENCH_BATCHES];
	double *singles;
	u64 drops;
	_Alignas(64) u8 record[BENCH_RECORD_MAX + 8];
};

u64 bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000000u + (u64)now.tv_nsec;
}

int bench_compare(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;

	return (a > b) - (a < b);
}

static u32 batch_records(u32 record_bytes)
{
	u32 count = BATCH_BYTES / record_bytes;

	return count < BATCH_RECORDS ? count : BATCH_RECORDS;
}

/* Wait for the others, and let one of them free what all have put. */
static void meet(const struct producer *me)
{
	if (pthread_barrier_wait(me->barrier) ==
		    PTHREAD_BARRIER_SERIAL_THREAD &&
	    me->engine->read)
		me->engine->read(NULL);
	pthread_barrier_wait(me->barrier);
}

static void put(struct producer *me, u32 count)
{
	bool (*put_one)(void *record, u32 bytes) = me->engine->put;
	u32 i, bytes = me->cell->record_bytes;

	for (i = 0; i < count; i++)
		me->drops += !put_one(me->record, bytes);
}

static void *produce(void *argument)
{
	struct producer *me = argument;
	u32 i, each = batch_records(me->cell->record_bytes);

	for (i = 0; i < BENCH_BATCHES; i++) {
		meet(me);
		me->begun_ns[i] = bench_now_ns();
		put(me, each);
		me->ended_ns[i] = bench_now_ns();
	}
	for (i = 0; i < BENCH_SINGLES; i++) {
		u64 begun_ns;

		if (i % each == 0)
			meet(me);
		begun_ns = bench_now_ns();
		put(me, 1);
		me->singles[i] = (double)(bench_now_ns() - begun_ns);
	}
	return NULL;
}

/* Return the time from the first producer's begin to the last one's end. */
static u64 span_ns(const struct producer *producers, u32 count, u32 batch)
{
	u64 first = ~0ull, last = 0;
	u32 i;

	for (i = 0; i < count; i++) {
		if (first > producers[i].begun_ns[batch])
			first = producers[i].begun_ns[batch];
		if (last < producers[i].ended_ns[batch])
			last = producers[i].ended_ns[batch];
	}
	return last - first;
}

static void sum_up(const struct producer *producers, u32 count,
		   struct bench_round *round)
{
	static double batches[BENCH_PRODUCERS_MAX * BENCH_BATCHES];
	u32 i, batch, each = batch_records(producers->cell->record_bytes);
	u64 all_ns = 0;

	round->drops = 0;
	for (i = 0; i < count; i++) {
		const struct producer *one = &producers[i];

		round->drops += one->drops;
		for (batch = 0; batch < BENCH_BATCHES; batch++)
			batches[i * BENCH_BATCHES + batch] =
				(double)(one->ended_ns[batch] -
					 one->begun_ns[batch]) /
				each;
	}
	qsort(batches, count * BENCH_BATCHES, sizeof(*batches), bench_compare);
	round->batch_ns = batches[count * BENCH_BATCHES / 2];
	for (batch = 0; batch < BENCH_BATCHES; batch++)
		all_ns += span_ns(producers, count, batch);
	round->records_per_s =
		(double)count * BENCH_BATCHES * each * 1e9 / (double)all_ns;
}

void bench_measure(const struct bench_engine *engine,
		   const struct bench_cell *cell, struct bench_round *round,
		   double *singles)
{
	static struct producer producers[BENCH_PRODUCERS_MAX];
	pthread_t threads[BENCH_PRODUCERS_MAX];
	pthread_barrier_t barrier;
	u32 i;

	pthread_barrier_init(&barrier, NULL, cell->producers);
	for (i = 0; i < cell->producers; i++) {
		producers[i] = (struct producer){
			.engine = engine,
			.cell = cell,
			.barrier = &barrier,
			.singles = singles + i * BENCH_SINGLES,
		};
		pthread_create(&threads[i], NULL, produce, &producers[i]);
	}
	for (i = 0; i < cell->producers; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&barrier);
	sum_up(producers, cell->producers, round);
}
