/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* json_print.h - what the lines of all records have in common. */
#ifndef OSQ_JSON_PRINT_H
#define OSQ_JSON_PRINT_H

#include <stddef.h>
#include <stdio.h>

#include "osq.h"

/* Begin the line of a record: all of its head, without the last brace. */
void json_head(FILE *out, const struct osq_record *record, const char *type);

/* Print bytes as one string; see json_print.c for what is no UTF-8. */
void json_string(FILE *out, const char *bytes, size_t length);

#endif
