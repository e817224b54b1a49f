// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish_file.c - a record for events of files under watched paths, from
 * fsnotify.
 *
 * fsnotify calls after the event, only if it has succeeded, in the process that
 * caused it, with the folder of a name still locked. So names and inodes are
 * those of the event. It is called for each event, so none can be missed.
 * kernel/README.md lists the other ways that were considered.
 */
#include <linux/audit.h>
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/fsnotify_backend.h>
#include <linux/kdev_t.h>
#include <linux/sched.h>
#include <linux/srcu.h>
#include <linux/user_namespace.h>

#include "compat.h"
#include "osq_file.h"
#include "osq_test_build.h"

static_assert(sizeof(struct osq_file) +
		      2 * (OSQ_WATCH_PATH_BYTES + OSQ_PATH_BUFFER_BYTES) <=
	      OSQ_RECORD_MAX_BYTES);

static struct osq_ring *target;
static u64 chosen; /* OSQ_FILE_OPT */

/* A name as a path, and the watch that covers it. */
struct place {
	struct osq_path path; /* in the scratch buffer */
	const struct osq_watched *watched;
	const struct osq_watched *nearby; /* that, or one that moves with it */
	bool found;
};

/*
 * The file system looks at fsuid, fsgid and capabilities, and overlayfs gives a
 * process those of who mounted it for a moment. Who acts has the other ids.
 */
static void put_ids(struct osq_file *file)
{
	const struct cred *cred = current_real_cred();
	struct user_namespace *ns = &init_user_ns;

	file->uid = from_kuid(ns, cred->uid);
	file->euid = from_kuid(ns, cred->euid);
	file->suid = from_kuid(ns, cred->suid);
	file->fsuid = from_kuid(ns, current_fsuid());
	file->gid = from_kgid(ns, cred->gid);
	file->egid = from_kgid(ns, cred->egid);
	file->sgid = from_kgid(ns, cred->sgid);
	file->fsgid = from_kgid(ns, current_fsgid());
	file->auid = from_kuid(ns, audit_get_loginuid(current));
	file->session = audit_get_sessionid(current);
}

static void put_inode(struct osq_file *file, const struct osq_file_event *event)
{
	dev_t dev = event->sb->s_dev;
	const struct inode *inode = event->inode;

	file->dev = (u64)MAJOR(dev) << 32 | MINOR(dev);
	if (!inode)
		return;
	file->ino = inode->i_ino;
	file->mode = inode->i_mode;
	file->owner_uid = from_kuid(&init_user_ns, inode->i_uid);
	file->owner_gid = from_kgid(&init_user_ns, inode->i_gid);
	file->nlink = inode->i_nlink;
}

static u64 wanted(const struct osq_file_event *event)
{
	return OSQ_FILE_OPT(event->action);
}

/* Context: osq_encode_begin, under which @watches is read, too. */
static struct place look_up(struct osq_scratch *scratch,
			    const struct osq_name *name,
			    const struct osq_watches *watches,
			    const struct osq_file_event *event)
{
	struct place place = {};
	bool cut = false;

	place.found = event->has_path &&
		      osq_name_path(name, scratch->path, &place.path, &cut);
	if (cut)
		scratch->head.flags |= OSQ_FLAG_TRUNC_PATH;
	if (!place.found) {
		scratch->head.flags |= OSQ_FLAG_NO_PATH;
		return place;
	}
	place.watched = osq_watches_match(watches, event->fs, wanted(event),
					  &place.path);
	place.nearby = place.watched;
	if (!place.nearby && event->action == OSQ_FILE_RENAME)
		place.nearby = osq_watches_below(watches, event->fs,
						 wanted(event), &place.path);
	return place;
}

static void put_view(struct osq_file *file, struct osq_span *span,
		     const struct osq_view *view, const struct osq_path *path)
{
	span->off = file->head.len;
	span->len = osq_view_path(view, path, (char *)file + span->off);
	file->head.len += span->len;
}

/*
 * Append a path as its watch shows it.
 * @nearby: the watch of the other side, if no watch covers this path, or NULL.
 */
static void put_place(struct osq_file *file, struct osq_span *span,
		      const struct place *place,
		      const struct osq_watched *nearby)
{
	static const struct osq_view whole;

	span->off = file->head.len;
	if (!place->found)
		return;
	if (place->watched) {
		put_view(file, span, &place->watched->path, &place->path);
	} else if (nearby &&
		   osq_path_covers(&nearby->mount.place, &place->path)) {
		put_view(file, span, &nearby->mount, &place->path);
	} else {
		file->head.flags |= OSQ_FLAG_FS_PATH;
		put_view(file, span, &whole, &place->path);
	}
}

/*
 * Append the paths. There is one buffer to build them in, so the path of the
 * new name is built twice: first to find out whether it is watched, then to be
 * kept.
 *
 * Return: false when no path turns out to be watched.
 */
static bool put_paths(struct osq_scratch *scratch,
		      const struct osq_file_event *event,
		      const struct osq_watches *watches)
{
	struct osq_file *file = &scratch->file;
	const struct osq_watched *nearby = NULL;
	struct place place;

	if (event->dest.dentry)
		nearby = look_up(scratch, &event->dest, watches, event).nearby;
	place = look_up(scratch, &event->name, watches, event);
	if (!nearby)
		nearby = place.nearby;
	/*
	 * An event without a path on a watched file system is reported, not
	 * hidden.
	 */
	if (!nearby && !event->by_other_name) {
		if (!(file->head.flags & OSQ_FLAG_NO_PATH))
			return false;
		place.found = false;
	}
	put_place(file, &file->path, &place, nearby);
	file->dest_path.off = file->head.len;
	if (event->dest.dentry && (nearby || event->by_other_name)) {
		place = look_up(scratch, &event->dest, watches, event);
		put_place(file, &file->dest_path, &place, nearby);
	}
	return true;
}

/* Return: false when the file is not watched after all. */
static bool encode(struct osq_scratch *scratch,
		   const struct osq_file_event *event)
{
	struct osq_file *file = &scratch->file;

	osq_head_fill(&file->head, sizeof(*file), OSQ_TYPE_FILE, &file->actor);
	if (current->flags & PF_KTHREAD)
		file->head.flags |= OSQ_FLAG_OTHER_CONTEXT;
	if (osq_file_event_is_deleted(event))
		file->head.flags |= OSQ_FLAG_DELETED;
	if (event->by_other_name)
		file->head.flags |= OSQ_FLAG_OTHER_NAME;
	file->action = event->action;
	put_ids(file);
	put_inode(file, event);
	return put_paths(scratch, event, rcu_dereference(osq_watches));
}

/*
 * A thread of the kernel closes files for others, and nobody knows for whom: no
 * filter rejects that.
 */
static bool is_let_in(void)
{
	return current->flags & PF_KTHREAD ||
	       osq_filter_pass_task(target, OSQ_TYPE_FILE, current);
}

static void publish(const struct osq_file_event *event)
{
	bool traded = osq_encode_begin();
	struct osq_scratch *scratch;

	scratch = osq_scratch_get();
	if (!scratch) {
		osq_publish_nothing(target, OSQ_TYPE_FILE, OSQ_DROP_NESTED);
	} else {
		/* Only events of watched files count as filtered. */
		if (encode(scratch, event) && is_let_in())
			osq_publish(target, &scratch->head,
				    osq_rank_of_caller());
		osq_scratch_put(scratch);
	}
	osq_encode_end(traded);
}

static void handle(u32 mask, const void *data, int data_type, struct inode *dir,
		   const struct qstr *file_name,
		   struct fsnotify_iter_info *iter_info)
{
	struct fsnotify_mark *mark = fsnotify_iter_sb_mark(iter_info);
	struct dentry *dentry = fsnotify_data_dentry(data, data_type);
	struct dentry *found = NULL;
	struct osq_file_event event = {
		.action = osq_watch_action(mask, data_type),
		.fs = container_of(mark, struct osq_mark, mark)->fs,
		.inode = fsnotify_data_inode(data, data_type),
		.sb = fsnotify_data_sb(data, data_type),
		.name.dentry = dentry,
		.by_descriptor = data_type == FSNOTIFY_EVENT_PATH,
	};

	if (!(READ_ONCE(chosen) & wanted(&event)))
		return;
	/*
	 * A name was removed, or is not yet its dentry's, or was another; or
	 * it is not known (kernfs tells of an inode whose folder is forgotten).
	 */
	if (!dentry || event.action == OSQ_FILE_RENAME) {
		found = dir ? d_find_any_alias(dir) : NULL;
		event.name.dentry = found;
		event.name.below = file_name;
		event.dest.dentry = dentry;
	}
	if (event.name.dentry && osq_file_event_is_of_interest(&event))
		publish(&event);
	dput(found);
}

/*
 * Context: process, may sleep; the folder of a name that is added or removed is
 * locked. The call may come after the publisher has stopped, by a mark that
 * somebody still holds: then there is no table, and nothing but the table is
 * read.
 */
static int on_event(struct fsnotify_group *group, u32 mask, const void *data,
		    int data_type, struct inode *dir,
		    const struct qstr *file_name, u32 cookie,
		    struct fsnotify_iter_info *iter_info)
{
	int idx = srcu_read_lock(&osq_file_calls);

	if (rcu_access_pointer(osq_watches))
		handle(mask, data, data_type, dir, file_name, iter_info);
	srcu_read_unlock(&osq_file_calls, idx);
	return 0;
}

static const struct fsnotify_ops ops = {
	.handle_event = on_event,
	.free_mark = osq_mark_free,
};

/* osq_publish_file_probe - see struct osq_publisher. */
bool osq_publish_file_probe(void)
{
	return !osq_test_hides("fsnotify");
}

/*
 * osq_publish_file_start - see struct osq_publisher. Marks are added only with
 * the first watch.
 *
 * Return: 0 or -ENOMEM; -EOPNOTSUPP where the probe fails.
 */
int osq_publish_file_start(struct osq_ring *ring, u64 options)
{
	int err = osq_publish_file_probe() ? osq_scratch_open() : -EOPNOTSUPP;

	if (err)
		return err;
	err = osq_file_memory_open();
	if (err)
		goto close_scratch;
	err = osq_programs_open();
	if (err)
		goto close_memory;
	target = ring;
	osq_publish_file_configure(options);
	err = osq_watches_open(&ops);
	if (err)
		goto close_programs;
	return 0;

close_programs:
	osq_programs_close();
close_memory:
	osq_file_memory_close();
close_scratch:
	osq_scratch_close();
	return err;
}

/* osq_publish_file_configure - see struct osq_publisher. */
void osq_publish_file_configure(u64 options)
{
	WRITE_ONCE(chosen, options ? options : OSQ_FILE_OPT_ALL);
}

/* osq_publish_file_stop - see struct osq_publisher. The watches end, too. */
void osq_publish_file_stop(void)
{
	osq_watches_close();
	osq_programs_close();
	osq_file_memory_close();
	osq_scratch_close();
}
