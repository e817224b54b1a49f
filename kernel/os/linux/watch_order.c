// SPDX-License-Identifier: GPL-2.0-only
/*
 * watch_order.c - the part of WATCH that needs no device: copy the call, check
 * it, and look up its path.
 *
 * This is done without device_mutex, because a look-up may wait for a file
 * system on another computer without limit.
 */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/path.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "osq_file.h"

/* Paths that are needed during a look-up, each in a buffer of its own. */
struct places {
	char place[PATH_MAX];
	char mount_place[PATH_MAX];
	char mount_shown[PATH_MAX];
};

/* Return: -EINVAL for a value that struct osq_watch does not allow. */
static int check(const struct osq_watch *watch)
{
	if (watch->on > 1 || watch->actions & ~OSQ_FILE_OPT_ALL ||
	    !watch->on != !watch->actions ||
	    watch->path_bytes >= OSQ_WATCH_PATH_BYTES ||
	    !osq_path_is_proper(watch->path, watch->path_bytes))
		return -EINVAL;
	return 0;
}

/* The kernel writes the root as a slash; in a table it is empty. */
static int as_path(char *text, struct osq_path *path)
{
	if (IS_ERR(text))
		return PTR_ERR(text);
	path->bytes = text;
	path->len = strlen(text);
	if (path->len == 1)
		path->len = 0;
	return 0;
}

static int view_mount(const struct path *found, struct places *places,
		      struct osq_view *mount)
{
	struct path top = { .mnt = found->mnt, .dentry = found->mnt->mnt_root };
	int err = as_path(dentry_path_raw(top.dentry, places->mount_place,
					  sizeof(places->mount_place)),
			  &mount->place);

	if (!err)
		err = as_path(d_path(&top, places->mount_shown,
				     sizeof(places->mount_shown)),
			      &mount->shown);
	return err;
}

/* The part of the path that does not exist yet follows the existing part. */
static int view_path(const struct osq_watch_order *order, u32 found_len,
		     struct places *places, struct osq_view *path)
{
	u32 rest = order->shown.len - found_len;
	int err = as_path(dentry_path_raw(order->found.dentry, places->place,
					  sizeof(places->place)),
			  &path->place);

	if (err)
		return err;
	if (path->place.len + rest >= sizeof(places->place))
		return -ENAMETOOLONG;
	memmove(places->place, path->place.bytes, path->place.len);
	memcpy(places->place + path->place.len, order->shown.bytes + found_len,
	       rest);
	path->place.bytes = places->place;
	path->place.len += rest;
	path->shown = order->shown;
	return 0;
}

static int resolve(struct osq_watch_order *order)
{
	struct places *places = kmalloc(sizeof(*places), GFP_KERNEL_ACCOUNT);
	struct osq_view path, mount;
	int err = -ENOMEM;

	if (!places)
		return err;
	err = osq_path_find(order->watch.path, order->shown.len, &order->found);
	if (err >= 0)
		err = view_path(order, err, places, &path);
	if (!err)
		err = view_mount(&order->found, places, &mount);
	if (!err) {
		order->watched =
			osq_watched_create(order->watch.actions, &path, &mount);
		err = order->watched ? 0 : -ENOMEM;
	}
	/* An event below it could not be recognized as its own. */
	if (!err && order->watched->depth >= OSQ_CLIMB_MAX)
		err = -ENAMETOOLONG;
	kfree(places);
	return err;
}

/*
 * osq_watch_prepare - do the part of WATCH that needs no device.
 *
 * Context: process, may sleep; no mutex is held.
 * Return: an order for osq_watch_apply, to be freed by osq_watch_put; an error
 * pointer with -EFAULT, -EINVAL, -ENAMETOOLONG, -ENOMEM, or the error of the
 * look-up.
 */
struct osq_watch_order *osq_watch_prepare(void __user *user)
{
	struct osq_watch_order *order =
		kzalloc(sizeof(*order), GFP_KERNEL_ACCOUNT);
	int err = 0;

	if (!order)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(&order->watch, user, sizeof(order->watch)))
		err = -EFAULT;
	if (!err)
		err = check(&order->watch);
	if (!err) {
		order->shown.bytes = order->watch.path;
		/* The root is empty in a table. */
		if (order->watch.path_bytes > 1)
			order->shown.len = order->watch.path_bytes;
		err = order->watch.on ? resolve(order) : 0;
	}
	if (!err)
		return order;
	osq_watch_put(order);
	return ERR_PTR(err);
}

/* osq_watch_put - free the rest of the order; an error pointer is allowed. */
void osq_watch_put(struct osq_watch_order *order)
{
	if (IS_ERR(order))
		return;
	path_put(&order->found);
	osq_watched_destroy(order->watched);
	kfree(order);
}
