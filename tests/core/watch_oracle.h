/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * watch_oracle.h - the decisions of osq_watch.c by another algorithm: paths
 * are split into components first, and the order of watches plays no role.
 */
#ifndef WATCH_ORACLE_H
#define WATCH_ORACLE_H

#include <stdbool.h>
#include <string.h>

#include "osq_watch.h"

#define MOST_COMPONENTS 64

struct components {
	u32 count;
	struct osq_path name[MOST_COMPONENTS];
};

/* Split at each slash; return false when the text has no leading slash. */
static inline bool cut(const struct osq_path *path, struct components *out)
{
	u32 at = 0;

	out->count = 0;
	while (at < path->len && out->count < MOST_COMPONENTS) {
		const char *start = path->bytes + at + 1;
		const char *end;

		if (path->bytes[at] != '/')
			return false;
		end = memchr(start, '/', path->len - at - 1);
		if (!end)
			end = path->bytes + path->len;
		out->name[out->count++] =
			(struct osq_path){ .bytes = start,
					   .len = (u32)(end - start) };
		at += 1 + (u32)(end - start);
	}
	return true;
}

static inline bool oracle_covers(const struct osq_path *above,
				 const struct osq_path *path)
{
	struct components a, b;
	u32 i;

	if (!cut(above, &a) || !cut(path, &b) || a.count > b.count)
		return false;
	for (i = 0; i < a.count; i++)
		if (a.name[i].len != b.name[i].len ||
		    memcmp(a.name[i].bytes, b.name[i].bytes, a.name[i].len))
			return false;
	return true;
}

/* Return the depth of the closest watch that covers @path, or -1. */
static inline int oracle_depth(struct osq_watched *const *watched, u32 count,
			       u64 fs, u64 actions, const struct osq_path *path)
{
	struct components own;
	int deepest = -1;
	u32 i;

	for (i = 0; i < count; i++)
		if (watched[i]->fs == fs && watched[i]->actions & actions &&
		    oracle_covers(&watched[i]->path.place, path)) {
			cut(&watched[i]->path.place, &own);
			if ((int)own.count > deepest)
				deepest = (int)own.count;
		}
	return deepest;
}

#endif
