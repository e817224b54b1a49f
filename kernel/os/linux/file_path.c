// SPDX-License-Identifier: GPL-2.0-only
/*
 * file_path.c - find the place of a file in its file system: first whether a
 * watch can cover it, cheaply, by climbing from its dentry, then its path. And
 * the other way, find the file at a path.
 *
 * Most events of a file system with a watch are not under the watch. They are
 * rejected without a buffer and without building a path.
 */
#include <linux/dcache.h>
#include <linux/namei.h>
#include <linux/path.h>
#include <linux/rcupdate.h>
#include <linux/seqlock.h>

#include "compat.h"
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

/*
 * Is the name that of a folder above @place? @depth: of the name, less than
 * that of @place.
 */
static bool is_above(const struct osq_name *name, u32 depth,
		     const struct osq_path *place)
{
	struct osq_path above = { .bytes = place->bytes };
	u32 slashes = 0;

	for (; above.len < place->len; above.len++)
		if (place->bytes[above.len] == '/' && slashes++ == depth)
			break;
	return name->below ? is_below_at(name, &above)
			   : is_at(name->dentry, &above);
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

/*
 * A folder that is renamed takes the watched places below it along, so its
 * name is covered by their watches, too.
 * Context: an RCU reader; the answer is valid if rename_lock did not change.
 */
static enum osq_sight look(const struct osq_name *name,
			   const struct osq_watches *watches, u64 fs,
			   u32 action)
{
	const struct dentry *at;
	u32 i, depth = 0, at_depth, own_depth;

	for (at = name->dentry; !IS_ROOT(at); at = parent_of(at))
		if (++depth > OSQ_CLIMB_MAX)
			return OSQ_SIGHT_UNKNOWN;
	if (at != name->dentry->d_sb->s_root)
		return OSQ_SIGHT_UNKNOWN;
	at = name->dentry;
	at_depth = depth;
	own_depth = depth + !!name->below;
	for (i = 0; i < watches->count; i++) {
		const struct osq_watched *one = watches->watched[i];

		if (one->fs != fs || !(one->actions & OSQ_FILE_OPT(action)))
			continue;
		if (one->depth > own_depth) {
			if (action == OSQ_FILE_RENAME &&
			    is_above(name, own_depth, &one->path.place))
				return OSQ_SIGHT_COVERED;
			continue;
		}
		if (one->depth > depth) {
			if (is_below_at(name, &one->path.place))
				return OSQ_SIGHT_COVERED;
			continue;
		}
		/* Deeper watches come first, so one climb is for all. */
		for (; at_depth > one->depth; at_depth--)
			at = parent_of(at);
		if (is_at(at, &one->path.place))
			return OSQ_SIGHT_COVERED;
	}
	return OSQ_SIGHT_NONE;
}

/*
 * osq_name_sight - can a watch that wants @action cover this name?
 * @watches: may be NULL.
 *
 * Context: an RCU reader; on PREEMPT_RT one that may be preempted.
 */
enum osq_sight osq_name_sight(const struct osq_name *name,
			      const struct osq_watches *watches, u64 fs,
			      u32 action)
{
	enum osq_sight sight;
	unsigned int seq;

	if (!osq_watches_want(watches, fs, OSQ_FILE_OPT(action)))
		return OSQ_SIGHT_NONE;
	seq = read_seqbegin(&rename_lock);
	sight = look(name, watches, fs, action);
	if (!read_seqretry(&rename_lock, seq))
		return sight;
	/* A name was changed meanwhile: climb once more, with the lock. */
	read_seqlock_excl(&rename_lock);
	sight = look(name, watches, fs, action);
	read_sequnlock_excl(&rename_lock);
	return sight;
}

/*
 * osq_path_find - look up a path, or the nearest existing folder above it.
 * @path: of @len bytes, and room for one more; terminated meanwhile.
 *
 * Context: process, may sleep; no mutex is held.
 * Return: the length of the path that was found; the error of the look-up.
 */
int osq_path_find(char *path, u32 len, struct path *found)
{
	int err;

	for (;;) {
		char cut = path[len];

		path[len] = 0;
		err = kern_path(len ? path : "/", LOOKUP_FOLLOW, found);
		path[len] = cut;
		if (err != -ENOENT || !len)
			return err ? err : len;
		while (path[--len] != '/')
			;
	}
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

/*
 * At so many of a file's names in memory the driver looks, and at no more:
 * anybody can make tens of thousands of links.
 */
#define ALIASES_MAX 8

static bool is_covered(const struct dentry *dentry, u64 fs, u32 action)
{
	const struct osq_name name = { .dentry = dentry };
	enum osq_sight sight;

	rcu_read_lock();
	sight = osq_name_sight(&name, rcu_dereference(osq_watches), fs, action);
	rcu_read_unlock();
	return sight == OSQ_SIGHT_COVERED;
}

/*
 * osq_file_has_watched_name - does a watch cover a name of this file?
 *
 * A file with more names than are looked at is taken for watched: too much is
 * recorded, nothing hidden. Context: process, may sleep.
 */
bool osq_file_has_watched_name(const struct inode *of, u64 fs, u32 action)
{
	struct dentry *aliases[ALIASES_MAX];
	struct inode *inode = (struct inode *)of;
	struct dentry *alias;
	bool has = false;
	int count = 0;

	spin_lock(&inode->i_lock);
	osq_for_each_alias(alias, inode) {
		has = count == ALIASES_MAX;
		if (has)
			break;
		aliases[count++] = dget(alias);
	}
	spin_unlock(&inode->i_lock);
	while (count--) {
		has = has || is_covered(aliases[count], fs, action);
		dput(aliases[count]);
	}
	return has;
}
