/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* json.h - print records as JSON Lines. */
#ifndef OSQ_JSON_H
#define OSQ_JSON_H

#include <stdio.h>

#include "osq.h"

/*
 * Print one record as one line.
 * Returns 0, or -1 for a record whose spans lead out of it.
 */
int json_record(FILE *out, const struct osq_record *record);

/*
 * The same, in a line of up to @line_bytes, its end included, and at least
 * JSON_LINE_MIN_BYTES: in a longer one strings are cut, and "cut" says so.
 */
#define JSON_LINE_MIN_BYTES 4096u
int json_record_within(FILE *out, const struct osq_record *record,
		       size_t line_bytes);

/* The name of a type of records, or NULL. */
const char *json_type_name(unsigned int type);

/* The name of a reason for a drop, or NULL. */
const char *json_reason_name(unsigned int reason);

/* Print the counters of a sync as one line of type "stats". */
void json_stats(FILE *out, const struct osq_sync *stats);

#endif
