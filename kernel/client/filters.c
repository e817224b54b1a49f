// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* filters.c - see filters.h. */
#include "filters.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The count of a list, which its bit names. */
static __u32 *count_of(struct osq_filter *filter, unsigned int by)
{
	switch (by) {
	case OSQ_FILTER_BY_UID:
		return &filter->uid_count;
	case OSQ_FILTER_BY_PID_NS:
		return &filter->pid_ns_count;
	case OSQ_FILTER_BY_CGROUP:
		return &filter->cgroup_count;
	default:
		return &filter->path_count;
	}
}

/* Read a number at *@text and move *@text to the character after it. */
static int take_number(const char **text, unsigned long long most,
		       unsigned long long *out)
{
	char *end;

	errno = 0;
	/* strtoull also skips blanks and takes a sign. */
	*out = strtoull(*text, &end, 10);
	if (errno || end == *text || **text < '0' || **text > '9' ||
	    *out > most)
		return -1;
	*text = end;
	return 0;
}

static int add_uids(struct osq_filter *filter, const char *text)
{
	unsigned long long first, last;

	do {
		if (filter->uid_count == OSQ_FILTER_LIST_MAX ||
		    take_number(&text, UINT_MAX, &first))
			return -1;
		last = first;
		if (*text == '-') {
			text++;
			if (take_number(&text, UINT_MAX, &last) || last < first)
				return -1;
		}
		filter->uids[filter->uid_count].first = (__u32)first;
		filter->uids[filter->uid_count++].last = (__u32)last;
	} while (*text++ == ',');
	return text[-1] ? -1 : 0;
}

/*
 * Read a number, or the inode number of a file, which names a namespace or
 * group.
 */
static int take_inode(const char *text, unsigned long long most,
		      unsigned long long *out)
{
	struct stat status;

	if (*text != '/')
		return take_number(&text, most, out) || *text ? -1 : 0;
	if (stat(text, &status) || status.st_ino > most)
		return -1;
	*out = status.st_ino;
	return 0;
}

static int add_inode(struct osq_filter *filter, unsigned int by,
		     const char *text)
{
	int of_ns = by == OSQ_FILTER_BY_PID_NS;
	__u32 *count = count_of(filter, by);
	unsigned long long inode;

	if (*count == OSQ_FILTER_LIST_MAX ||
	    take_inode(text, of_ns ? UINT_MAX : ULLONG_MAX, &inode))
		return -1;
	if (of_ns)
		filter->pid_ns[*count] = (__u32)inode;
	else
		filter->cgroups[*count] = inode;
	++*count;
	return 0;
}

static int add_path(struct osq_filter *filter, const char *text)
{
	struct osq_span *span = &filter->paths[filter->path_count];
	size_t length = strlen(text);

	if (filter->path_count == OSQ_FILTER_LIST_MAX || *text != '/')
		return -1;
	/* Shells complete a folder with a slash, which the driver refuses. */
	while (length > 1 && text[length - 1] == '/')
		length--;
	span->off = filter->path_count ? span[-1].off + span[-1].len : 0;
	if (length > sizeof(filter->bytes) - span->off)
		return -1;
	span->len = (__u32)length;
	memcpy(filter->bytes + span->off, text, length);
	filter->path_count++;
	return 0;
}

int filters_add(struct osq_filter *filter, unsigned int by, int exclude,
		const char *text)
{
	unsigned int bit = exclude ? by : 0;

	/* A list as a whole says "only these" or "none of these". */
	if (*count_of(filter, by) && (filter->exclude & by) != bit)
		return -1;
	filter->exclude |= bit;
	if (by == OSQ_FILTER_BY_UID)
		return add_uids(filter, text);
	if (by == OSQ_FILTER_BY_PATH)
		return add_path(filter, text);
	return add_inode(filter, by, text);
}

struct osq_filter filters_of(const struct osq_filter *filter, unsigned int type)
{
	struct osq_filter own = *filter;

	own.type = type;
	/* Only execs can be filtered by their path. */
	if (type != OSQ_TYPE_EXEC) {
		own.path_count = 0;
		own.exclude &= ~(unsigned int)OSQ_FILTER_BY_PATH;
	}
	return own;
}

int filters_has(const struct osq_filter *filter)
{
	return filter->uid_count || filter->pid_ns_count ||
	       filter->cgroup_count || filter->path_count;
}
