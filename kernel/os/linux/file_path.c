// SPDX-License-Identifier: GPL-2.0-only
/*
 * file_path.c - find the place of a file in its file system: first whether a
 * watch can cover it, cheaply, by climbing from its dentry, then its path.
 *
 * Most events of a file system with a watch are not under the watch. They are
 * rejected without a buffer and without building a path.
 */
#include <linux/dcache.h>
#include <linux/seqlock.h>

#include "osq_file.h"

static const struct dentry *parent_of(const struct dentry *dentry)
{
	return READ_ONCE(dentry->d_parent);
}

/*
 * Is this the dentry's name? A rename may exchange it meanwhile: every name
 * ends in a NUL, which no component contains, so the bytes are never read past
 * their end; rename_lock shows the caller that the answer is useless.
 */
static bool has_name(const struct dentry *dentry, const char *name, u32 len)
{
	const unsigned char *own = READ_ONCE(dentry->d_name.name);
	u32 at;

	for (at = 0; at < len; at++)
		if (own[at] != (unsigned char)name[at])
			return false;
	return !own[len];
}

/* Return the offset of the last component of @path. */
static u32 last_of(const struct osq_path *path)
{
	u32 at = path->len;

	while (path->bytes[at - 1] != '/')
		at--;
	return at;
}

/* Is @place the path of @dentry? Both have the same number of components. */
static bool is_at(const struct dentry *dentry, const struct osq_path *place)
{
	struct osq_path left = *place;

	while (left.len) {
		u32 start = last_of(&left);

		if (!has_name(dentry, left.bytes + start, left.len - start))
			return false;
		left.len = start - 1;
		dentry = parent_of(dentry);
	}
	return true;
}

/* As is_at, for a name in a folder. */
static bool is_below_at(const struct osq_name *name,
			const struct osq_path *place)
{
	u32 start = last_of(place);
	struct osq_path folder = { .bytes = place->bytes, .len = start - 1 };

	return name->below->len == place->len - start &&
	       !memcmp(name->below->name, place->bytes + start,
		       name->below->len) &&
	       is_at(name->dentry, &folder);
}

/* osq_name_has_path - is the name connected with its file system's root? */
bool osq_name_has_path(const struct osq_name *name)
{
	const struct dentry *at = name->dentry;
	u32 depth = 0;

	for (; !IS_ROOT(at); at = parent_of(at))
		if (++depth > OSQ_CLIMB_MAX)
			return false;
	return at == name->dentry->d_sb->s_root;
}

/* Context: an RCU reader; the answer is valid if rename_lock did not change. */
static enum osq_sight look(const struct osq_name *name,
			   const struct osq_watches *watches, u64 fs,
			   u64 actions)
{
	const struct dentry *at;
	u32 i, depth = 0, at_depth;

	for (at = name->dentry; !IS_ROOT(at); at = parent_of(at))
		if (++depth > OSQ_CLIMB_MAX)
			return OSQ_SIGHT_UNKNOWN;
	if (at != name->dentry->d_sb->s_root)
		return OSQ_SIGHT_UNKNOWN;
	at = name->dentry;
	at_depth = depth;
	for (i = 0; i < watches->count; i++) {
		const struct osq_watched *one = watches->watched[i];

		if (one->fs != fs || !(one->actions & actions))
			continue;
		if (name->below && one->depth == depth + 1) {
			if (is_below_at(name, &one->path.place))
				return OSQ_SIGHT_COVERED;
			continue;
		}
		if (one->depth > depth)
			continue;
		/*
		 * Deeper watches come first, so a single climb serves all of
		 * them.
		 */
		for (; at_depth > one->depth; at_depth--)
			at = parent_of(at);
		if (is_at(at, &one->path.place))
			return OSQ_SIGHT_COVERED;
	}
	return OSQ_SIGHT_NONE;
}

/*
 * osq_name_sight - can a watch that wants one of @actions cover this name?
 * @watches: may be NULL.
 *
 * Context: an RCU reader; on PREEMPT_RT one that may be preempted.
 */
enum osq_sight osq_name_sight(const struct osq_name *name,
			      const struct osq_watches *watches, u64 fs,
			      u64 actions)
{
	enum osq_sight sight;
	unsigned int seq;

	if (!osq_watches_want(watches, fs, actions))
		return OSQ_SIGHT_NONE;
	seq = read_seqbegin(&rename_lock);
	sight = look(name, watches, fs, actions);
	if (!read_seqretry(&rename_lock, seq))
		return sight;
	/* A name was changed meanwhile: climb once more, with the lock. */
	read_seqlock_excl(&rename_lock);
	sight = look(name, watches, fs, actions);
	read_sequnlock_excl(&rename_lock);
	return sight;
}

/*
 * Return the nearest folder above whose path has room, or the dentry itself. A
 * rename meanwhile makes the sum wrong; then the path is not found: see below.
 * Return: NULL when a rename has made it too deep.
 */
static const struct dentry *with_room(const struct dentry *dentry, u32 room)
{
	const struct dentry *at;
	u64 len = 1; /* the end of the path */
	u32 depth = 0;

	for (at = dentry; !IS_ROOT(at); at = parent_of(at)) {
		if (++depth > OSQ_CLIMB_MAX)
			return NULL;
		len += READ_ONCE(at->d_name.len) + 1;
	}
	for (at = dentry; len > room && !IS_ROOT(at); at = parent_of(at))
		len -= READ_ONCE(at->d_name.len) + 1;
	return at;
}

/*
 * osq_name_path - build the path of a name from the root of its file system.
 * @buffer: OSQ_PATH_BUFFER_BYTES.
 * @path: in @buffer.
 * @cut: set when only the path of the nearest folder with room was built.
 *
 * A watch covers the whole path exactly when it covers the cut one, since no
 * watch is longer than the buffer.
 * Context: an RCU reader; on PREEMPT_RT one that may be preempted.
 * Return: false when there is no path.
 */
bool osq_name_path(const struct osq_name *name, char *buffer,
		   struct osq_path *path, bool *cut)
{
	const struct qstr *below = name->below;
	u32 room = OSQ_PATH_BUFFER_BYTES - (below ? below->len + 1 : 0);
	const struct dentry *dentry = with_room(name->dentry, room);
	char *start;

	if (below && dentry != name->dentry) {
		below = NULL;
		room = OSQ_PATH_BUFFER_BYTES;
		dentry = with_room(name->dentry, room);
		*cut = true;
	}
	if (!dentry)
		return false;
	*cut = *cut || dentry != name->dentry;
	start = dentry_path_raw((struct dentry *)dentry, buffer, room);
	if (IS_ERR(start))
		return false;
	path->bytes = start;
	path->len = buffer + room - 1 - start;
	/*
	 * The kernel writes the root as a slash; in a table of watches it is
	 * empty.
	 */
	if (path->len == 1)
		path->len = 0;
	if (!below)
		return true;
	if (!path->len)
		path->bytes = buffer + room - 1;
	buffer[room - 1] = '/';
	memcpy(buffer + room, below->name, below->len);
	path->len += below->len + 1;
	return true;
}
