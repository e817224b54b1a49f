/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* json_records.h - the types of records that can be subscribed to. */
#ifndef OSQ_JSON_RECORDS_H
#define OSQ_JSON_RECORDS_H

#include <stdio.h>

#include "osq.h"

/*
 * One row for each type: X(TYPE, kind) stands for OSQ_TYPE_TYPE, and for
 * json_kind, which prints such a record as a line of the type "kind". The names
 * of types, osqtail's help and the choice of the function follow from this list.
 */
#define JSON_RECORDS(X)         \
	X(EXEC, exec)           \
	X(FORK, fork)           \
	X(EXIT, exit)           \
	X(SOCKET, socket)       \
	X(FILE, file)           \
	X(MODULE, module)       \
	X(CRED, cred)           \
	X(PTRACE, ptrace)       \
	X(NAMESPACE, namespace) \
	X(BPF, bpf)             \
	X(KEXEC, kexec)         \
	X(SIGNAL, signal)

/* Each returns 0, or -1 as json_record does. */
#define DECLARE(TYPE, kind) \
	int json_##kind(FILE *out, const struct osq_record *record);
JSON_RECORDS(DECLARE)
#undef DECLARE

/* The name of an action on a file, or NULL. */
const char *json_file_action_name(unsigned int action);

/* The enum osq_socket_action of a name, or 0. */
unsigned int json_socket_action(const char *name);

#endif
