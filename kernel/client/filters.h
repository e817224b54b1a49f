/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* filters.h - a filter of the driver, said in words. */
#ifndef OSQ_FILTERS_H
#define OSQ_FILTERS_H

#include "osq.h"

/*
 * Add what @text names to the list of one condition. All of a list let in, or
 * all keep out.
 * @by: one of OSQ_FILTER_BY_*.
 * @text: uids and ranges of them, with commas ("0,1000-1999"); the inode
 * number of a namespace or the id of a group, or a file that has it; a path.
 *
 * Returns 0; -1 for a text that is none of these, a list that is full, or one
 * that was begun with another @exclude.
 */
int filters_add(struct osq_filter *filter, unsigned int by, int exclude,
		const char *text);

/* The filter of one type: without the conditions that it does not know. */
struct osq_filter filters_of(const struct osq_filter *filter,
			     unsigned int type);

/* Is there any condition in it? */
int filters_has(const struct osq_filter *filter);

#endif
