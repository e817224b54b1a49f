/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* json_print.h - what json.c and the files of single types have of each other. */
#ifndef OSQ_JSON_PRINT_H
#define OSQ_JSON_PRINT_H

#include "json.h"

/* Any bytes as a JSON string; see json.c for what is no UTF-8. */
void json_print_string(FILE *out, const char *bytes, size_t length);

/* The opening brace and what all records have. */
void json_print_head(FILE *out, const struct osq_record *record,
		     const char *type);

/* As json_record, for one type. */
int json_print_file(FILE *out, const struct osq_record *record);

#endif
