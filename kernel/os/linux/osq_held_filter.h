/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * osq_held_filter.h - a filter with references on what its numbers and paths
 * name.
 */
#ifndef OSQ_HELD_FILTER_H
#define OSQ_HELD_FILTER_H

#include <linux/fs.h>
#include <linux/llist.h>

#include "osq_linux.h"
#include "osq_watch.h"

struct pid;
struct pid_namespace;

/* A file or folder that a filter names: its place in a file system. */
struct osq_filter_place {
	struct super_block *sb; /* an active reference: it stays mounted */
	struct osq_path place; /* of memory of its own */
};

struct osq_held_filter {
	struct osq_filter filter;
	/*
	 * By the number that user space gave, which the kernel reuses once it
	 * is free.
	 */
	struct pid *in_ns[OSQ_FILTER_LIST_MAX]; /* a pid in it or below */
	const struct pid_namespace *pid_ns[OSQ_FILTER_LIST_MAX];
	struct osq_filter_place places[OSQ_FILTER_LIST_MAX];
	struct llist_node retired; /* of filter.c, when it is not used any more */
};

enum osq_found {
	OSQ_FOUND_OUTSIDE, /* of all listed paths; or the file is not known yet */
	OSQ_FOUND_LISTED,
	OSQ_FOUND_UNKNOWN, /* it has no path, or is too deep to have one here */
};

enum osq_found osq_held_filter_find(const struct osq_held_filter *held,
				    const struct osq_about *about);

#endif
