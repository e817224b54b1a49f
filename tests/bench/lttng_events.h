/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * lttng_events.h - LTTng-UST's description of a record, which its headers read
 * several times. with_lttng.sh gives each event a channel of its own.
 */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER bench

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "./lttng_events.h"

#if !defined(LTTNG_EVENTS_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define LTTNG_EVENTS_H

#include <lttng/tracepoint.h>
#include <stdint.h>

LTTNG_UST_TRACEPOINT_EVENT_CLASS(
	bench, record,
	LTTNG_UST_TP_ARGS(const uint8_t *, bytes, uint32_t, count),
	LTTNG_UST_TP_FIELDS(lttng_ust_field_sequence(uint8_t, bytes, bytes,
						     uint32_t, count)))

#define BENCH_EVENT(name)                    \
	LTTNG_UST_TRACEPOINT_EVENT_INSTANCE( \
		bench, record, bench, name,  \
		LTTNG_UST_TP_ARGS(const uint8_t *, bytes, uint32_t, count))

BENCH_EVENT(cost_1)
BENCH_EVENT(cost_16)
BENCH_EVENT(load_1)
BENCH_EVENT(load_16)

#endif

#include <lttng/tracepoint-event.h>
