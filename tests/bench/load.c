// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * load.c - a fixed load: records come in bursts, and one reader takes them.
 *
 * Each producer makes its share of the load once in a millisecond and then
 * sleeps, so the load stays the same on a machine that is busy otherwise. What
 * was made must be what was read and what the engine counts as dropped.
 */
#include <pthread.h>
#include <time.h>

#include "measure.h"

#define NS_PER_MS 1000000u
#define READER_SLEEP_NS 100000u

struct source {
	const struct bench_engine *engine;
	const struct bench_cell *cell;
	u32 id;
	u64 per_ms, bursts, made;
	u32 *running;
	_Alignas(64) u8 record[BENCH_RECORD_MAX + 8];
};

static void sleep_until(u64 time_ns)
{
	struct timespec until = {
		.tv_sec = (time_t)(time_ns / 1000000000u),
		.tv_nsec = (long)(time_ns % 1000000000u),
	};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void *make(void *argument)
{
	struct source *me = argument;
	struct bench_stamp *stamp = (void *)(me->record + me->engine->stamp_at);
	u64 burst, i, begun_ns = bench_now_ns();

	for (burst = 0; burst < me->bursts; burst++) {
		for (i = 0; i < me->per_ms; i++) {
			*stamp = (struct bench_stamp){
				.number = me->made++,
				.producer = me->id,
				.magic = BENCH_MAGIC,
			};
			me->engine->put(me->record, me->cell->record_bytes);
		}
		sleep_until(begun_ns + (burst + 1) * NS_PER_MS);
	}
	__atomic_sub_fetch(me->running, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Read until all producers have ended and nothing is left. */
static void read_all(const struct bench_engine *engine, const u32 *running,
		     struct bench_reader *reader)
{
	bool any;
	u32 left;

	do {
		left = __atomic_load_n(running, __ATOMIC_ACQUIRE);
		any = engine->read && engine->read(reader);
		if (!any && left)
			sleep_until(bench_now_ns() + READER_SLEEP_NS);
	} while ((left || any) && !reader->found_garbage);
}

void bench_load_run(const struct bench_engine *engine,
		    const struct bench_cell *cell, u64 per_s, u64 duration_ms,
		    struct bench_load *load)
{
	static struct source sources[BENCH_PRODUCERS_MAX];
	pthread_t threads[BENCH_PRODUCERS_MAX];
	struct bench_reader reader = { 0 };
	u32 i, running = cell->producers;

	*load = (struct bench_load){ 0 };
	for (i = 0; i < cell->producers; i++) {
		sources[i] = (struct source){
			.engine = engine,
			.cell = cell,
			.id = i,
			.per_ms = per_s / 1000 / cell->producers,
			.bursts = duration_ms,
			.running = &running,
		};
		pthread_create(&threads[i], NULL, make, &sources[i]);
	}
	read_all(engine, &running, &reader);
	for (i = 0; i < cell->producers; i++) {
		pthread_join(threads[i], NULL);
		load->made += sources[i].made;
	}
	load->read = reader.read;
	load->found_garbage = reader.found_garbage;
	load->drops = engine->drops ? engine->drops() : 0;
}
