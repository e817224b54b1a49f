/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* json_records.h - types of records whose printing has a file of its own. */
#ifndef OSQ_JSON_RECORDS_H
#define OSQ_JSON_RECORDS_H

#include <stdio.h>

#include "osq.h"

/* Print a record as a line. Each returns 0, or -1 as json_record does. */
int json_socket(FILE *out, const struct osq_record *record);
int json_file(FILE *out, const struct osq_record *record);
int json_module(FILE *out, const struct osq_record *record);
int json_cred(FILE *out, const struct osq_record *record);

/* The name of an action on a file, or NULL. */
const char *json_file_action_name(unsigned int action);

/* The enum osq_socket_action of a name, or 0. */
unsigned int json_socket_action(const char *name);

#endif
