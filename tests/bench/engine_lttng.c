// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * engine_lttng.c - LTTng-UST's ring: one for each CPU, filled by a tracepoint.
 *
 * Its daemons make the rings; with_lttng.sh starts them and chooses the sizes.
 * To measure the cost of a record it overwrites, so nobody has to read.
 */
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "lttng_events.h"

#include "engine.h"

#define LARGE_RING (4u << 20)

static bool is_large, is_load;

/* The events are different functions, so their names cannot be variables. */
static bool is_traced(void)
{
	if (is_load)
		return is_large ? lttng_ust_tracepoint_enabled(bench, load_16)
				: lttng_ust_tracepoint_enabled(bench, load_1);
	return is_large ? lttng_ust_tracepoint_enabled(bench, cost_16)
			: lttng_ust_tracepoint_enabled(bench, cost_1);
}

static bool lttng_open(const struct bench_cell *cell)
{
	is_large = cell->ring_bytes > LARGE_RING;
	is_load = cell->is_load;
	return is_traced();
}

static bool lttng_put(void *record, u32 bytes)
{
	if (!is_load && !is_large)
		lttng_ust_tracepoint(bench, cost_1, record, bytes);
	else if (!is_load)
		lttng_ust_tracepoint(bench, cost_16, record, bytes);
	else if (is_large)
		lttng_ust_tracepoint(bench, load_16, record, bytes);
	else
		lttng_ust_tracepoint(bench, load_1, record, bytes);
	return true;
}

static void lttng_close(void)
{
}

const struct bench_engine engine_lttng = {
	.name = "lttng-ust",
	.open = lttng_open,
	.put = lttng_put,
	.close = lttng_close,
};
