// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* osq_filter.c - see osq_filter.h; osq.h defines the meaning of the lists. */
#include "osq_filter.h"

/*
 * Return whether @span is a valid path: within bytes[], absolute, without a
 * NUL, and without a slash at its end unless it is the root.
 */
static bool is_prefix(const struct osq_filter *filter,
		      const struct osq_span *span)
{
	const u8 *at;
	u32 i;

	if (span->off >= sizeof(filter->bytes) || !span->len ||
	    span->len > sizeof(filter->bytes) - span->off)
		return false;
	at = filter->bytes + span->off;
	for (i = 0; i < span->len; i++)
		if (!at[i])
			return false;
	return at[0] == '/' && (span->len == 1 || at[span->len - 1] != '/');
}

/*
 * osq_filter_conditions - return which lists of @filter have entries.
 *
 * Return: OSQ_FILTER_BY_*; 0 when the filter passes everything.
 */
u32 osq_filter_conditions(const struct osq_filter *filter)
{
	return (filter->uid_count ? OSQ_FILTER_BY_UID : 0) |
	       (filter->pid_ns_count ? OSQ_FILTER_BY_PID_NS : 0) |
	       (filter->cgroup_count ? OSQ_FILTER_BY_CGROUP : 0) |
	       (filter->path_count ? OSQ_FILTER_BY_PATH : 0);
}

/*
 * osq_filter_check - is this filter valid for the functions below?
 * @known: the OSQ_FILTER_BY_* that this type of records supports.
 *
 * Return: 0; -EINVAL for a list that is too long, a condition that this type
 * does not support, a range that ends before it begins, a path that is_prefix
 * refuses, an unknown bit, or a reserved field.
 */
int osq_filter_check(const struct osq_filter *filter, u32 known)
{
	u32 i;

	if (filter->uid_count > OSQ_FILTER_LIST_MAX ||
	    filter->pid_ns_count > OSQ_FILTER_LIST_MAX ||
	    filter->cgroup_count > OSQ_FILTER_LIST_MAX ||
	    filter->path_count > OSQ_FILTER_LIST_MAX)
		return -EINVAL;
	if (filter->reserved[0] || filter->reserved[1] ||
	    (osq_filter_conditions(filter) | filter->exclude) & ~known)
		return -EINVAL;
	for (i = 0; i < filter->uid_count; i++)
		if (filter->uids[i].first > filter->uids[i].last)
			return -EINVAL;
	for (i = 0; i < filter->path_count; i++)
		if (!is_prefix(filter, &filter->paths[i]))
			return -EINVAL;
	return 0;
}

/* osq_filter_has_uid - is @uid in one of the ranges, ends included? */
bool osq_filter_has_uid(const struct osq_filter *filter, u32 uid)
{
	u32 i;

	for (i = 0; i < filter->uid_count; i++)
		if (filter->uids[i].first <= uid && uid <= filter->uids[i].last)
			return true;
	return false;
}

/* osq_filter_has_pid_ns - is exactly this namespace listed? */
bool osq_filter_has_pid_ns(const struct osq_filter *filter, u32 inum)
{
	u32 i;

	for (i = 0; i < filter->pid_ns_count; i++)
		if (filter->pid_ns[i] == inum)
			return true;
	return false;
}

/* osq_filter_has_cgroup - is exactly this group listed? */
bool osq_filter_has_cgroup(const struct osq_filter *filter, u64 id)
{
	u32 i;

	for (i = 0; i < filter->cgroup_count; i++)
		if (filter->cgroups[i] == id)
			return true;
	return false;
}

static bool begins_with(const char *path, const u8 *prefix, u32 len)
{
	u32 at;

	for (at = 0; at < len && (u8)path[at] == prefix[at]; at++)
		;
	return at == len;
}

/*
 * osq_filter_has_path - is a listed path @path itself or a folder above it?
 *
 * Whole components: /usr/bin is above /usr/bin/id, and not above /usr/bind.
 */
bool osq_filter_has_path(const struct osq_filter *filter, const char *path,
			 u32 bytes)
{
	u32 i;

	for (i = 0; i < filter->path_count; i++) {
		u32 len = filter->paths[i].len;
		const u8 *prefix = filter->bytes + filter->paths[i].off;

		if (len > bytes || !begins_with(path, prefix, len))
			continue;
		if (len == bytes || len == 1 || path[len] == '/')
			return true;
	}
	return false;
}

/*
 * A process can change paths by its own root. Such a path may pass a record,
 * for a file system that is mounted below a listed path, but never rejects one.
 */
static bool is_shown_inside(const struct osq_filter *filter,
			    const struct osq_subject *subject)
{
	return subject->path && !(filter->exclude & OSQ_FILTER_BY_PATH) &&
	       osq_filter_has_path(filter, subject->path, subject->path_bytes);
}

/*
 * osq_filter_lets - may a record about @subject be made?
 * @filter: osq_filter_check has returned 0 for it.
 *
 * Each list with entries must agree. An unknown path rejects no record.
 */
bool osq_filter_lets(const struct osq_filter *filter,
		     const struct osq_subject *subject)
{
	u32 wanted = osq_filter_conditions(filter);
	u32 found = 0;

	if (!subject->path)
		wanted &= ~OSQ_FILTER_BY_PATH;
	if (subject->raised)
		wanted &= ~OSQ_FILTER_BY_UID;
	if (osq_filter_has_uid(filter, subject->uid))
		found |= OSQ_FILTER_BY_UID;
	if (subject->in_pid_ns)
		found |= OSQ_FILTER_BY_PID_NS;
	if (subject->in_cgroup)
		found |= OSQ_FILTER_BY_CGROUP;
	if (subject->in_place || is_shown_inside(filter, subject))
		found |= OSQ_FILTER_BY_PATH;
	/*
	 * The record passes an including list that has it, or an excluding one
	 * that does not.
	 */
	return ((found ^ filter->exclude) & wanted) == wanted;
}
