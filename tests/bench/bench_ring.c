// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bench_ring.c - measure every engine in turn, and print a line of JSON for
 * each engine of each cell. harness/project/bench makes sense of them.
 *
 *	bench_ring short|full|smoke
 *
 * The engines of a cell are open at the same time and run in turn, in every
 * round, so whatever else the machine does meets all of them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "measure.h"

#define MIB (1ull << 20)
#define WARM_ROUNDS 2u
#define MAX_ROUNDS 64u
/* A host of 64 busy CPUs makes so many events. */
#define LOAD_PER_S 300000u
#define LOAD_ROUNDS 3u

static const struct bench_engine *const engines[] = {
	&engine_floor, &engine_ours, &engine_original,
#ifdef HAVE_LTTNG
	&engine_lttng,
#endif
#ifdef HAVE_DPDK
	&engine_dpdk,
#endif
};

#define ENGINES (sizeof(engines) / sizeof(*engines))

/* A list of sizes or numbers; 0 ends it. */
struct form {
	const char *name;
	u32 rounds;
	u64 load_ms;
	u64 rings[3];
	u32 producers[4];
	u32 bytes[6];
	u32 load_bytes[6];
};

static const struct form forms[] = {
	{ "smoke", 3, 10, { MIB }, { 1, 2 }, { 37, 256 }, { 256 } },
	{ "short",
	  15,
	  60,
	  { MIB },
	  { 1, 2 },
	  { 37, 64, 256, 1024, 4120 },
	  { 256, 1024 } },
	{ "full",
	  41,
	  60,
	  { MIB, 16 * MIB },
	  { 1, 2, 4 },
	  { 37, 64, 256, 1024, 4120 },
	  { 64, 256, 1024 } },
};

struct result {
	bool is_open;
	struct bench_round rounds[MAX_ROUNDS];
	double *singles;
};

static struct result results[ENGINES];

static size_t singles_of_a_round(const struct bench_cell *cell)
{
	return (size_t)cell->producers * BENCH_SINGLES;
}

static void run_rounds(const struct bench_cell *cell, u32 rounds)
{
	size_t each = singles_of_a_round(cell);
	u32 i, round;

	for (round = 0; round < WARM_ROUNDS + rounds; round++)
		for (i = 0; i < ENGINES; i++) {
			/* Every engine comes first, and last, equally often. */
			u32 at = (i + round) % ENGINES;
			struct result *one = &results[at];
			u32 kept = round < WARM_ROUNDS ? 0
						       : round - WARM_ROUNDS;

			if (one->is_open)
				bench_measure(engines[at], cell,
					      &one->rounds[kept],
					      one->singles + kept * each);
		}
}

static void print_cell(const char *kind, const char *engine,
		       const struct bench_cell *cell)
{
	printf("{\"kind\": \"%s\", \"engine\": \"%s\", \"ring_bytes\": %llu, "
	       "\"producers\": %u, \"record_bytes\": %u",
	       kind, engine, (unsigned long long)cell->ring_bytes,
	       cell->producers, cell->record_bytes);
}

static void print_cost(const struct bench_cell *cell, const char *engine,
		       struct result *one, u32 rounds)
{
	size_t count = rounds * singles_of_a_round(cell);
	u64 drops = 0;
	u32 i;

	print_cell("cost", engine, cell);
	printf(", \"batch_ns\": [");
	for (i = 0; i < rounds; i++)
		printf("%s%.2f", i ? ", " : "", one->rounds[i].batch_ns);
	printf("], \"records_per_s\": [");
	for (i = 0; i < rounds; i++) {
		printf("%s%.0f", i ? ", " : "", one->rounds[i].records_per_s);
		drops += one->rounds[i].drops;
	}
	qsort(one->singles, count, sizeof(double), bench_compare);
	printf("], \"drops\": %llu, \"single_ns\": [%.0f, %.0f, %.0f]}\n",
	       (unsigned long long)drops, one->singles[count / 2],
	       one->singles[count * 99 / 100],
	       one->singles[count * 999 / 1000]);
}

static void cost(const struct bench_cell *cell, u32 rounds)
{
	size_t room = rounds * singles_of_a_round(cell) * sizeof(double);
	u32 i;

	for (i = 0; i < ENGINES; i++) {
		results[i].is_open = engines[i]->open(cell);
		results[i].singles = malloc(room);
		if (!results[i].singles)
			abort();
	}
	run_rounds(cell, rounds);
	for (i = 0; i < ENGINES; i++) {
		if (results[i].is_open) {
			print_cost(cell, engines[i]->name, &results[i], rounds);
			engines[i]->close();
		}
		free(results[i].singles);
	}
	fflush(stdout);
}

static void add_up(struct bench_load *sum, const struct bench_load *one)
{
	u64 known = one->read + one->drops;

	sum->made += one->made;
	sum->read += one->read;
	sum->drops += one->drops;
	sum->error += one->made > known ? one->made - known : known - one->made;
	sum->found_garbage |= one->found_garbage;
}

static void print_load(const struct bench_cell *cell, const char *engine,
		       const struct bench_load *sum)
{
	print_cell("load", engine, cell);
	printf(", \"per_s\": %u, \"made\": %llu, \"read\": %llu, "
	       "\"drops\": %llu, \"error\": %llu, \"found_garbage\": %s}\n",
	       LOAD_PER_S, (unsigned long long)sum->made,
	       (unsigned long long)sum->read, (unsigned long long)sum->drops,
	       (unsigned long long)sum->error,
	       sum->found_garbage ? "true" : "false");
}

/*
 * Let the engines with a reader of their own run in turn, or the others.
 */
static void load(const struct bench_cell *cell, u64 duration_ms, bool reads)
{
	struct bench_load sums[ENGINES] = { 0 };
	struct bench_load one;
	u32 round, i;

	for (round = 0; round < LOAD_ROUNDS; round++)
		for (i = 0; i < ENGINES; i++) {
			u32 at = (i + round) % ENGINES;

			if (!engines[at]->read == reads ||
			    !engines[at]->open(cell))
				continue;
			bench_load_run(engines[at], cell, LOAD_PER_S,
				       duration_ms, &one);
			engines[at]->close();
			add_up(&sums[at], &one);
		}
	for (i = 0; i < ENGINES; i++)
		if (sums[i].made)
			print_load(cell, engines[i]->name, &sums[i]);
	fflush(stdout);
}

/* Print what one read of the clock takes, which each single time includes. */
static void print_clock(void)
{
	double times[BENCH_SINGLES];
	u32 i;

	for (i = 0; i < BENCH_SINGLES; i++) {
		u64 begun_ns = bench_now_ns();

		times[i] = (double)(bench_now_ns() - begun_ns);
	}
	qsort(times, BENCH_SINGLES, sizeof(*times), bench_compare);
	printf("{\"kind\": \"clock\", \"ns\": %.0f}\n",
	       times[BENCH_SINGLES / 2]);
}

static void all_costs(const struct form *form, struct bench_cell cell)
{
	const u32 *bytes;

	for (bytes = form->bytes; *bytes; bytes++) {
		cell.record_bytes = *bytes;
		cost(&cell, form->rounds);
	}
}

static void all_loads(const struct form *form, struct bench_cell cell,
		      bool reads)
{
	const u32 *bytes;

	cell.is_load = true;
	for (bytes = form->load_bytes; *bytes; bytes++) {
		cell.record_bytes = *bytes;
		load(&cell, form->load_ms, reads);
	}
}

enum pass {
	PASS_COSTS,
	PASS_LOADS,
	PASS_LOADS_OF_OTHERS,
	PASS_COUNT,
};

/*
 * LTTng's daemon goes on writing after its load, and that would delay the next
 * engine's reader. So its loads come last.
 */
static void run(const struct form *form)
{
	const u64 *ring;
	const u32 *producers;
	int pass;

	print_clock();
	bench_sections();
	for (pass = 0; pass < PASS_COUNT; pass++)
		for (ring = form->rings; *ring; ring++)
			for (producers = form->producers; *producers;
			     producers++) {
				struct bench_cell cell = {
					.ring_bytes = *ring,
					.producers = *producers,
				};

				if (pass == PASS_COSTS)
					all_costs(form, cell);
				else
					all_loads(form, cell,
						  pass == PASS_LOADS);
			}
}

int main(int argc, char **argv)
{
	u32 i;

	for (i = 0; argc == 2 && i < sizeof(forms) / sizeof(*forms); i++)
		if (!strcmp(argv[1], forms[i].name)) {
			run(&forms[i]);
			return 0;
		}
	fprintf(stderr, "usage: %s short|full|smoke\n", argv[0]);
	return 2;
}
