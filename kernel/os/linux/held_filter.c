// SPDX-License-Identifier: GPL-2.0-only
/*
 * held_filter.c - look up the numbers and paths of a filter when it is set, and
 * hold references on the results for as long as the filter is used.
 *
 * When a namespace has gone, its number is given to the next new one; and a
 * path is another file's for a process with another root. So namespaces are
 * held by a pid in them, and paths become places in file systems, as those of
 * watches.
 */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/namei.h>
#include <linux/path.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "osq_file.h"
#include "osq_filter.h"
#include "osq_held_filter.h"

/* Return: the namespace, when @pid is in or below it; @pid, or NULL, is held. */
static const struct pid_namespace *above(struct pid *pid, u32 inum)
{
	struct pid_namespace *ns = ns_of_pid(pid);

	while (ns && ns->ns.inum != inum)
		ns = ns->parent;
	return ns;
}

/*
 * A namespace has no process before its first one, which is its init, and none
 * after its init has ended. Return: -ESRCH when there is none.
 */
static int hold_pid_ns(struct osq_held_filter *held, u32 number)
{
	u32 inum = held->filter.pid_ns[number];
	struct task_struct *task;
	int err = -ESRCH;

	rcu_read_lock();
	for_each_process(task) {
		/* It is NULL for a task that is being reaped. */
		struct pid *pid = get_task_pid(task, PIDTYPE_PID);
		const struct pid_namespace *ns = above(pid, inum);

		if (ns) {
			held->pid_ns[number] = ns;
			held->in_ns[number] = pid;
			err = 0;
			break;
		}
		put_pid(pid);
	}
	rcu_read_unlock();
	return err;
}

/*
 * Write the found part of a path, and the part that does not exist yet, into
 * @buffer.
 */
static int put_place(struct osq_filter_place *place, const struct path *found,
		     const char *rest, u32 rest_len, char *buffer)
{
	char *start = dentry_path_raw(found->dentry, buffer, PATH_MAX);
	u32 len;
	char *own;

	if (IS_ERR(start))
		return PTR_ERR(start);
	len = strlen(start);
	if (len == 1)
		len = 0;
	own = kvmalloc(len + rest_len + 1, GFP_KERNEL_ACCOUNT);
	if (!own)
		return -ENOMEM;
	memcpy(own, start, len);
	memcpy(own + len, rest, rest_len);
	place->place.bytes = own;
	place->place.len = len + rest_len;
	place->sb = found->dentry->d_sb;
	/* @found has a reference as well, so this one is not the first. */
	atomic_inc(&place->sb->s_active);
	return 0;
}

static int hold_path(struct osq_held_filter *held, u32 number, char *buffers)
{
	const struct osq_span *span = &held->filter.paths[number];
	char *text = buffers, *buffer = buffers + PATH_MAX;
	/* The root is empty here, as in a table of watches. */
	u32 len = span->len > 1 ? span->len : 0;
	struct path found;
	int err;

	if (len >= PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(text, held->filter.bytes + span->off, len);
	text[len] = 0;
	err = osq_path_find(text, len, &found);
	if (err < 0)
		return err;
	err = put_place(&held->places[number], &found, text + err, len - err,
			buffer);
	path_put(&found);
	return err;
}

static int hold_all(struct osq_held_filter *held)
{
	char *buffers;
	int err = 0;
	u32 i;

	for (i = 0; !err && i < held->filter.pid_ns_count; i++)
		err = hold_pid_ns(held, i);
	if (err || !held->filter.path_count)
		return err;
	buffers = kvmalloc(2 * PATH_MAX, GFP_KERNEL_ACCOUNT);
	if (!buffers)
		return -ENOMEM;
	for (i = 0; !err && i < held->filter.path_count; i++)
		err = hold_path(held, i, buffers);
	kvfree(buffers);
	return err;
}

/*
 * osq_filter_prepare - do the part of FILTER that needs no device.
 *
 * An invalid filter is left for osq_filter_set to refuse.
 * Context: process, may sleep; no mutex is held.
 * Return: a filter for osq_filter_set, to be freed by osq_held_filter_put; an
 * error pointer with -EFAULT, -ENOMEM, -ESRCH for a pid namespace without a
 * process, -ENAMETOOLONG, or the error of looking up a path.
 */
struct osq_held_filter *osq_filter_prepare(void __user *user)
{
	struct osq_held_filter *held =
		kvzalloc(sizeof(*held), GFP_KERNEL_ACCOUNT);
	int err = 0;

	if (!held)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(&held->filter, user, sizeof(held->filter)))
		err = -EFAULT;
	else if (!osq_filter_check(&held->filter, ~0u))
		err = hold_all(held);
	if (!err)
		return held;
	osq_held_filter_put(held);
	return ERR_PTR(err);
}

/*
 * osq_held_filter_put - free the filter; NULL and error pointers are allowed.
 *
 * A file system that was unmounted meanwhile is released now. Context: process,
 * may sleep; no publisher reads the filter any more.
 */
void osq_held_filter_put(struct osq_held_filter *held)
{
	u32 i;

	if (IS_ERR_OR_NULL(held))
		return;
	for (i = 0; i < OSQ_FILTER_LIST_MAX; i++) {
		put_pid(held->in_ns[i]);
		kvfree(held->places[i].place.bytes);
		if (held->places[i].sb)
			deactivate_super(held->places[i].sb);
	}
	kvfree(held);
}

/* Is it a file system that the filter names? Only then a path is built. */
static bool has_sb(const struct osq_held_filter *held,
		   const struct super_block *sb)
{
	u32 i;

	for (i = 0; i < held->filter.path_count; i++)
		if (held->places[i].sb == sb)
			return true;
	return false;
}

/*
 * osq_held_filter_find - is a file at a listed path or below one?
 *
 * Context: osq_encode_begin, when about->dentry is there.
 */
enum osq_found osq_held_filter_find(const struct osq_held_filter *held,
				    const struct osq_about *about)
{
	struct osq_name name = { .dentry = about->dentry };
	struct osq_path path;
	bool cut = false;
	u32 i;

	if (!about->dentry || !has_sb(held, about->dentry->d_sb))
		return OSQ_FOUND_OUTSIDE;
	if (!osq_name_has_path(&name) ||
	    !osq_name_path(&name, about->buffer, &path, &cut))
		return OSQ_FOUND_UNKNOWN;
	for (i = 0; i < held->filter.path_count; i++)
		if (held->places[i].sb == about->dentry->d_sb &&
		    osq_path_covers(&held->places[i].place, &path))
			return OSQ_FOUND_LISTED;
	return OSQ_FOUND_OUTSIDE;
}
