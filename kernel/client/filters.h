/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* filters.h - parse a filter of the driver from the command line. */
#ifndef OSQ_FILTERS_H
#define OSQ_FILTERS_H

#include "osq.h"

/*
 * Add the entries in @text to the list of one condition. A list either includes
 * or excludes, with all of its entries.
 * @by: one of OSQ_FILTER_BY_*.
 * @text: uids and ranges of them, with commas ("0,1000-1999"); the inode
 * number of a namespace or the id of a group, or a file that has it; a path.
 *
 * Returns 0; -1 for an invalid text, a list that is full, or a list whose
 * earlier entries had another @exclude.
 */
int filters_add(struct osq_filter *filter, unsigned int by, int exclude,
		const char *text);

/*
 * Return the filter of one type, without the conditions that it does not
 * support.
 */
struct osq_filter filters_of(const struct osq_filter *filter,
			     unsigned int type);

/* Return whether the filter has any condition. */
int filters_has(const struct osq_filter *filter);

#endif
