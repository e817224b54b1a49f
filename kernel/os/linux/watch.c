// SPDX-License-Identifier: GPL-2.0-only
/*
 * watch.c - WATCH: the watched paths, and the marks by which the kernel reports
 * events of their file systems.
 *
 * fsnotify calls a group for each event of a file system on which the group has
 * a mark. A module cannot change a mark's mask, so there are three groups:
 * opens and writes, which are by far the most frequent events, cost nothing
 * where no watch wants them.
 *
 * fsnotify frees a mark when its last reference is dropped. A process that
 * waits for a fanotify listener's permission has such a reference, for as long
 * as the listener likes, and fsnotify_wait_marks_destroyed() does not wait for
 * it. So stopping waits for the handlers alone (osq_file_calls), which never
 * wait for user space, and each mark has a reference on the module until it is
 * freed: until then osq_mark_free and the handlers may be called, which then
 * find no table.
 *
 * All but the table, osq_file_calls and living is protected by device_mutex.
 */
#include <linux/atomic.h>
#include <linux/err.h>
#include <linux/fsnotify_backend.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/srcu.h>

#include "compat.h"
#include "osq_file.h"

static const struct {
	u64 actions;
	u32 mask;
} kinds[] = {
	{
		.actions = OSQ_FILE_OPT(OSQ_FILE_OPEN),
		.mask = FS_OPEN,
	},
	{
		.actions = OSQ_FILE_OPT(OSQ_FILE_MODIFY),
		.mask = FS_MODIFY,
	},
	{
		.actions = OSQ_FILE_OPT_ALL & ~OSQ_FILE_OPT(OSQ_FILE_OPEN) &
			   ~OSQ_FILE_OPT(OSQ_FILE_MODIFY),
		.mask = FS_CLOSE_WRITE | FS_RENAME | FS_DELETE | FS_CREATE |
			FS_ATTRIB,
	},
};

#define KINDS ARRAY_SIZE(kinds)

/*
 * osq_watch_action - return the action of an fsnotify event; 0 for an event
 * without one.
 */
u32 osq_watch_action(u32 mask, int data_type)
{
	if (mask & FS_OPEN)
		return OSQ_FILE_OPEN;
	if (mask & FS_MODIFY)
		return OSQ_FILE_MODIFY;
	if (mask & FS_CLOSE_WRITE)
		return OSQ_FILE_CLOSE_WRITE;
	if (mask & FS_RENAME)
		return OSQ_FILE_RENAME;
	if (mask & FS_DELETE)
		return OSQ_FILE_UNLINK;
	/* A new name of an inode that was there already. */
	if (mask & FS_CREATE)
		return data_type == FSNOTIFY_EVENT_INODE ? OSQ_FILE_LINK
							 : OSQ_FILE_CREATE;
	/*
	 * An event of the inode alone: its link count, which other actions
	 * report.
	 */
	if (mask & FS_ATTRIB && data_type != FSNOTIFY_EVENT_INODE)
		return OSQ_FILE_ATTRIB;
	return 0;
}

struct osq_watches __rcu *osq_watches;
static struct fsnotify_group *groups[KINDS];
static LIST_HEAD(marks);
static u64 last_fs;

/* Its readers are handlers of events that may use the ring and its buffers. */
DEFINE_SRCU(osq_file_calls);

/* Marks that fsnotify has not freed; each has a reference on the module. */
static atomic_t living = ATOMIC_INIT(0);
static atomic_t told = ATOMIC_INIT(0); /* 1: the log says that some are left */

static struct osq_watches *table(void)
{
	return rcu_dereference_protected(osq_watches, true);
}

/* Return: the old table; nobody uses it, or anything that only it had. */
static struct osq_watches *swap_table(struct osq_watches *watches)
{
	struct osq_watches *old = table();

	rcu_assign_pointer(osq_watches, watches);
	synchronize_rcu();
	return old;
}

/*
 * osq_mark_free - see struct fsnotify_ops.
 *
 * The module may be unloaded as soon as its reference is dropped:
 * osq_watches_drain waits until the caller, fsnotify's reaper, has returned.
 */
void osq_mark_free(struct fsnotify_mark *mark)
{
	kfree(container_of(mark, struct osq_mark, mark));
	if (atomic_dec_and_test(&living) && atomic_xchg(&told, 0))
		pr_notice(OSQ_NAME ": nothing waits for fanotify any more\n");
	module_put(THIS_MODULE);
}

/* Its file system may have been unmounted, and @sb be a new one's address. */
static bool is_attached(const struct osq_mark *mark)
{
	return READ_ONCE(mark->mark.flags) & FSNOTIFY_MARK_FLAG_ATTACHED;
}

static struct osq_mark *find_mark(const struct super_block *sb)
{
	struct osq_mark *mark;

	list_for_each_entry(mark, &marks, entry)
		if (mark->sb == sb && is_attached(mark))
			return mark;
	return NULL;
}

static bool has_kind(u64 fs, unsigned int kind)
{
	struct osq_mark *mark;

	list_for_each_entry(mark, &marks, entry)
		if (mark->fs == fs && mark->kind == kind)
			return true;
	return false;
}

static int add_mark(struct super_block *sb, u64 fs, unsigned int kind)
{
	struct osq_mark *mark = kzalloc(sizeof(*mark), GFP_KERNEL_ACCOUNT);
	int err;

	if (!mark)
		return -ENOMEM;
	fsnotify_init_mark(&mark->mark, groups[kind]);
	mark->mark.mask = kinds[kind].mask;
	mark->sb = sb;
	mark->fs = fs;
	mark->kind = kind;
	atomic_inc(&living);
	/*
	 * The caller has the device open, so the module has a reference
	 * already.
	 */
	__module_get(THIS_MODULE);
	err = osq_fsnotify_add_sb_mark(&mark->mark, sb);
	if (err)
		fsnotify_put_mark(&mark->mark);
	else
		list_add(&mark->entry, &marks);
	return err;
}

/*
 * Make sure of the marks that @actions need. Return: 0, and *@fs is the number.
 */
static int add_marks(struct super_block *sb, u64 actions, u64 *fs)
{
	struct osq_mark *mark = find_mark(sb);
	unsigned int kind;
	int err = 0;

	*fs = mark ? mark->fs : ++last_fs;
	for (kind = 0; !err && kind < KINDS; kind++)
		if (kinds[kind].actions & actions && !has_kind(*fs, kind))
			err = add_mark(sb, *fs, kind);
	return err;
}

/* The kernel frees the marks when no call that has seen them is left. */
static void drop_marks(void)
{
	struct osq_mark *mark, *next;

	list_for_each_entry_safe(mark, next, &marks, entry) {
		if (osq_watches_want(table(), mark->fs,
				     kinds[mark->kind].actions))
			continue;
		list_del(&mark->entry);
		fsnotify_destroy_mark(&mark->mark, groups[mark->kind]);
		fsnotify_put_mark(&mark->mark);
	}
}

static void put_groups(void)
{
	unsigned int kind;

	for (kind = 0; kind < KINDS; kind++) {
		if (!IS_ERR_OR_NULL(groups[kind]))
			fsnotify_put_group(groups[kind]);
		groups[kind] = NULL;
	}
}

/*
 * osq_watches_open - allow watches; undone by osq_watches_close.
 * @ops: the functions to call; free_mark is osq_mark_free.
 *
 * Context: may sleep; device_mutex is held.
 * Return: 0 or -ENOMEM.
 */
int osq_watches_open(const struct fsnotify_ops *ops)
{
	unsigned int kind;
	int err;

	for (kind = 0; kind < KINDS; kind++) {
		groups[kind] = osq_fsnotify_alloc_group(ops);
		if (IS_ERR(groups[kind])) {
			err = PTR_ERR(groups[kind]);
			put_groups();
			return err;
		}
	}
	return 0;
}

/*
 * osq_watches_close - end all watches; no event is or will be handled.
 *
 * Handlers that begin now find no table; those that have found one are waited
 * for. Marks with other references are freed later, see above; the log then
 * says what keeps the module. Context: as osq_watches_open.
 */
void osq_watches_close(void)
{
	struct osq_watches *old = swap_table(NULL);
	int left;
	u32 i;

	synchronize_srcu(&osq_file_calls);
	for (i = 0; old && i < old->count; i++)
		osq_watched_destroy(old->watched[i]);
	osq_os_free(old);
	drop_marks();
	fsnotify_wait_marks_destroyed();
	put_groups();
	left = atomic_read(&living);
	if (left && !atomic_xchg(&told, 1))
		pr_notice(OSQ_NAME ": %d marks wait for fanotify's permission "
				   "to go; until then the module stays\n",
			  left);
}

/*
 * osq_watches_drain - before the module is unloaded: wait until no mark is
 * left.
 *
 * The reaper may still be after its call of osq_mark_free, where it uses the
 * group's operations. Context: may sleep.
 */
void osq_watches_drain(void)
{
	fsnotify_wait_marks_destroyed();
}

/* Exchange one watch for another; either may be NULL. */
static int replace(struct osq_watched *without, struct osq_watched *with)
{
	struct osq_watches *watches =
		osq_watches_replace(table(), without, with);

	if (!watches)
		return -ENOMEM;
	osq_os_free(swap_table(watches));
	osq_watched_destroy(without);
	return 0;
}

static int add(struct osq_watch_order *order, struct osq_watched *same)
{
	const struct osq_watches *watches = table();
	int err;

	if (!same && watches && watches->count == OSQ_WATCH_MAX)
		return -ENOSPC;
	err = add_marks(order->found.mnt->mnt_sb, order->watch.actions,
			&order->watched->fs);
	if (!err)
		err = replace(same, order->watched);
	if (!err)
		order->watched = NULL;
	return err;
}

/*
 * osq_watch_apply - put a prepared watch into the table, or remove it.
 *
 * Context: may sleep; device_mutex is held; files are subscribed to.
 * Return: 0; -ENOENT when there is nothing to remove; -ENOSPC; -ENOMEM.
 */
int osq_watch_apply(struct osq_watch_order *order)
{
	struct osq_watched *same = osq_watches_find(table(), &order->shown);
	int err = -ENOENT;

	if (order->watch.on)
		err = add(order, same);
	else if (same)
		err = replace(same, NULL);
	drop_marks();
	return err;
}
