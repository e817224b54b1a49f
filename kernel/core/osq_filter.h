/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * osq_filter.h - does a filter pass this record? Pure functions: no state, no
 * lock, no memory of its own; any context.
 *
 * The system calls osq_filter_has_pid_ns and _cgroup for each namespace and
 * group of a process, from its own one upwards, since only the system knows
 * their hierarchy.
 */
#ifndef OSQ_FILTER_H
#define OSQ_FILTER_H

#include "osq.h"
#include "osq_os.h"

/* The process that a record is about. */
struct osq_subject {
	u32 uid; /* real, in the initial user namespace */
	bool raised; /* has rights of root without being it: no uid list rejects it */
	bool in_pid_ns; /* its pid namespace, or one above, is listed */
	bool in_cgroup; /* its control group, or one above, is listed */
	bool in_place; /* its file is at a listed path, or below one */
	const char *path; /* in its own view; NULL: not known, or not yet */
	u32 path_bytes;
};

int osq_filter_check(const struct osq_filter *filter, u32 known);
u32 osq_filter_conditions(const struct osq_filter *filter);
bool osq_filter_has_uid(const struct osq_filter *filter, u32 uid);
bool osq_filter_has_pid_ns(const struct osq_filter *filter, u32 inum);
bool osq_filter_has_cgroup(const struct osq_filter *filter, u64 id);
bool osq_filter_has_path(const struct osq_filter *filter, const char *path,
			 u32 bytes);
bool osq_filter_lets(const struct osq_filter *filter,
		     const struct osq_subject *subject);

#endif
