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

/*
 * Print bytes as one string; json_print.c has the form of bytes that are not
 * UTF-8.
 */
void json_string(FILE *out, const char *bytes, size_t length);

#endif
