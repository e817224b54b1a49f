// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osq_watch.c - see osq_watch.h.
 *
 * A table never changes: a new one replaces it, and the system frees the
 * old one when no function uses it any more.
 */
#include "osq_watch.h"

static bool is_dots(const char *bytes, u32 len)
{
	return bytes[0] == '.' && (len == 1 || (len == 2 && bytes[1] == '.'));
}

/*
 * osq_path_is_proper - is this a path that a watch can have?
 *
 * Absolute, without empty components, "." and "..", NUL, and a slash at the
 * end; only "/" may end in one.
 */
bool osq_path_is_proper(const char *bytes, u32 len)
{
	u32 start = 0, at;

	if (len == 1)
		return bytes[0] == '/';
	for (at = 0; at <= len; at++) {
		if (at < len && !bytes[at])
			return false;
		if (at < len && bytes[at] != '/')
			continue;
		/* A component ends here; it began after the slash at start. */
		if (at && (at - start < 2 ||
			   is_dots(bytes + start + 1, at - start - 1)))
			return false;
		start = at;
	}
	return len && bytes[0] == '/';
}

/* osq_path_covers - is @path the same as @above, or below it? */
bool osq_path_covers(const struct osq_path *above, const struct osq_path *path)
{
	u32 at;

	if (path->len < above->len ||
	    (path->len > above->len && path->bytes[above->len] != '/'))
		return false;
	/* Compare from the end, where paths differ most often. */
	for (at = above->len; at--;)
		if (path->bytes[at] != above->bytes[at])
			return false;
	return true;
}

/*
 * osq_view_path - write a place as its owner names it.
 * @path: a place that view->place covers.
 * @to: has room for shown.len + path->len + 1 bytes.
 *
 * Return: how many bytes were written; "/" for the root.
 */
u32 osq_view_path(const struct osq_view *view, const struct osq_path *path,
		  char *to)
{
	u32 rest = path->len - view->place.len;

	osq_os_memcpy(to, view->shown.bytes, view->shown.len);
	osq_os_memcpy(to + view->shown.len, path->bytes + view->place.len,
		      rest);
	if (view->shown.len + rest)
		return view->shown.len + rest;
	to[0] = '/';
	return 1;
}

static struct osq_path keep(char **room, const struct osq_path *path)
{
	struct osq_path kept = { .bytes = *room, .len = path->len };

	osq_os_memcpy(*room, path->bytes, path->len);
	*room += path->len;
	return kept;
}

static u32 depth_of(const struct osq_path *path)
{
	u32 depth = 0, at;

	for (at = 0; at < path->len; at++)
		depth += path->bytes[at] == '/';
	return depth;
}

/*
 * osq_watched_create - make a watch with copies of all paths; fs is 0.
 *
 * Context: may sleep.
 * Return: NULL when memory is short.
 */
struct osq_watched *osq_watched_create(u64 actions, const struct osq_view *path,
				       const struct osq_view *mount)
{
	size_t bytes = (size_t)path->place.len + path->shown.len +
		       mount->place.len + mount->shown.len;
	struct osq_watched *watched = osq_os_alloc(sizeof(*watched) + bytes);
	char *room = (char *)(watched + 1);

	if (!watched)
		return NULL;
	watched->actions = actions;
	watched->depth = depth_of(&path->place);
	watched->path.place = keep(&room, &path->place);
	watched->path.shown = keep(&room, &path->shown);
	watched->mount.place = keep(&room, &mount->place);
	watched->mount.shown = keep(&room, &mount->shown);
	return watched;
}

/* osq_watched_destroy - free a watch that is in no table; NULL is allowed. */
void osq_watched_destroy(struct osq_watched *watched)
{
	osq_os_free(watched);
}

/* Return the first watch that covers @path, or that @path covers. */
static const struct osq_watched *first_of(const struct osq_watches *watches,
					  u64 fs, u64 actions,
					  const struct osq_path *path,
					  bool below)
{
	u32 i;

	for (i = 0; watches && i < watches->count; i++) {
		const struct osq_watched *one = watches->watched[i];
		const struct osq_path *place = &one->path.place;

		if (one->fs == fs && one->actions & actions &&
		    (below ? osq_path_covers(path, place)
			   : osq_path_covers(place, path)))
			return one;
	}
	return NULL;
}

/*
 * osq_watches_match - return the closest watch that covers a place.
 * @actions: the watch must want one of these.
 *
 * Context: any. @watches may be NULL.
 * Return: NULL when there is none.
 */
const struct osq_watched *osq_watches_match(const struct osq_watches *watches,
					    u64 fs, u64 actions,
					    const struct osq_path *path)
{
	return first_of(watches, fs, actions, path, false);
}

/*
 * osq_watches_below - return a watch of a place, or of a place below it.
 *
 * A rename of the place changes what the watch covers. Parameters, context and
 * return: as osq_watches_match.
 */
const struct osq_watched *osq_watches_below(const struct osq_watches *watches,
					    u64 fs, u64 actions,
					    const struct osq_path *path)
{
	return first_of(watches, fs, actions, path, true);
}

/* osq_watches_want - does any watch of a file system want one of @actions? */
bool osq_watches_want(const struct osq_watches *watches, u64 fs, u64 actions)
{
	u32 i;

	for (i = 0; watches && i < watches->count; i++)
		if (watches->watched[i]->fs == fs &&
		    watches->watched[i]->actions & actions)
			return true;
	return false;
}

/* osq_watches_find - return the watch that its owner named @shown, or NULL. */
struct osq_watched *osq_watches_find(const struct osq_watches *watches,
				     const struct osq_path *shown)
{
	u32 i;

	for (i = 0; watches && i < watches->count; i++) {
		const struct osq_path *other = &watches->watched[i]->path.shown;

		if (other->len == shown->len && osq_path_covers(other, shown))
			return watches->watched[i];
	}
	return NULL;
}

/*
 * osq_watches_replace - make a table like @old, less one watch, plus another.
 * @old, @without, @with: each may be NULL.
 *
 * Context: may sleep. The caller frees @old, and nothing else is freed.
 * Return: NULL when memory is short.
 */
struct osq_watches *osq_watches_replace(const struct osq_watches *old,
					const struct osq_watched *without,
					struct osq_watched *with)
{
	u32 count = old ? old->count : 0;
	size_t room = (count + 1) * sizeof(struct osq_watched *);
	struct osq_watches *watches = osq_os_alloc(sizeof(*watches) + room);
	u32 i;

	if (!watches)
		return NULL;
	for (i = 0; i < count; i++) {
		struct osq_watched *one = old->watched[i];

		if (with && one->depth < with->depth) {
			watches->watched[watches->count++] = with;
			with = NULL;
		}
		if (one != without)
			watches->watched[watches->count++] = one;
	}
	if (with)
		watches->watched[watches->count++] = with;
	return watches;
}
