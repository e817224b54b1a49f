/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * osq_watch.h - which paths are watched, and under which name the owner of
 * a watch knows them.
 *
 * A watch names a path as its owner sees it. Events know a file by its place
 * in a file system. So a watch is kept with both, and matches by the second,
 * on whole components: "/a/b" covers "/a/b" and "/a/b/c", not "/a/bc".
 *
 * Paths here have a length and no NUL; the root is empty, and no other path
 * ends in a slash.
 */
#ifndef OSQ_WATCH_H
#define OSQ_WATCH_H

#include "osq.h"
#include "osq_os.h"

struct osq_path {
	const char *bytes;
	u32 len;
};

/* @place of the file system, and all below it, is shown as @shown. */
struct osq_view {
	struct osq_path place;
	struct osq_path shown;
};

/* One watch; it never changes once it is in a table. */
struct osq_watched {
	u64 fs; /* the system's number for the file system */
	u64 actions; /* OSQ_FILE_OPT */
	u32 depth; /* components of path.place */
	struct osq_view path; /* shown: as the owner named it */
	struct osq_view mount; /* of the mount by which it was found */
};

/* Deeper ones come first: the first that covers a path is the closest. */
struct osq_watches {
	u32 count;
	struct osq_watched *watched[];
};

bool osq_path_is_proper(const char *bytes, u32 len);
bool osq_path_covers(const struct osq_path *above, const struct osq_path *path);
u32 osq_view_path(const struct osq_view *view, const struct osq_path *path,
		  char *to);

struct osq_watched *osq_watched_create(u64 actions, const struct osq_view *path,
				       const struct osq_view *mount);
void osq_watched_destroy(struct osq_watched *watched);

const struct osq_watched *osq_watches_match(const struct osq_watches *watches,
					    u64 fs, u64 actions,
					    const struct osq_path *path);
const struct osq_watched *osq_watches_below(const struct osq_watches *watches,
					    u64 fs, u64 actions,
					    const struct osq_path *path);
bool osq_watches_want(const struct osq_watches *watches, u64 fs, u64 actions);
struct osq_watched *osq_watches_find(const struct osq_watches *watches,
				     const struct osq_path *shown);
struct osq_watches *osq_watches_replace(const struct osq_watches *old,
					const struct osq_watched *without,
					struct osq_watched *with);

#endif
