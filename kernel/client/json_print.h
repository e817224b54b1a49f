/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* json_print.h - functions that print the common parts of all records. */
#ifndef OSQ_JSON_PRINT_H
#define OSQ_JSON_PRINT_H

#include <stddef.h>
#include <stdio.h>

#include "osq.h"

/*
 * Print the beginning of a record's line: its whole head, without the last
 * brace.
 */
void json_head(FILE *out, const struct osq_record *record, const char *type);

/* Print the programs of the record's process and of its parent. */
void json_actor(FILE *out, const struct osq_actor *actor);

/* The name of a number, or "unknown" for one that @names does not have. */
const char *json_name(const char *const *names, size_t count,
		      unsigned int number);
#define JSON_NAME(names, number) \
	json_name(names, sizeof(names) / sizeof((names)[0]), number)

/* Print the ids of the record's process, and its system call. */
void json_caller(FILE *out, const struct osq_caller *caller);

/*
 * Print bytes as one string; json_print.c has the form of bytes that are not
 * UTF-8. A terminal obeys nothing in it.
 */
void json_string(FILE *out, const char *bytes, size_t length);

/* Print bytes with a NUL after each string as an array of strings. */
void json_vector(FILE *out, const char *bytes, size_t length);

/*
 * From now on strings and arrays are cut after so many bytes of output, and
 * each record has "cut":true. SIZE_MAX ends it.
 */
void json_cut(size_t string_bytes);

#endif
