/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * osq_file.h - declarations that watch.c, file_path.c and publish_file.c share.
 */
#ifndef OSQ_FILE_H
#define OSQ_FILE_H

#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/fsnotify_backend.h>
#include <linux/path.h>
#include <linux/srcu.h>

#include "osq_linux.h"
#include "osq_watch.h"

/*
 * At most this many folders are climbed: any user may nest folders without end,
 * and each event below them would take that long, with rename_lock held while
 * others rename.
 */
#define OSQ_CLIMB_MAX 512u

/* A name in a file system: a dentry's own, or a name in a folder. */
struct osq_name {
	const struct dentry *dentry;
	const struct qstr *below; /* a name in the folder @dentry, or NULL */
};

/* watch.c */

/* A mark of one file system, to which all its events belong. */
struct osq_mark {
	struct fsnotify_mark mark;
	struct list_head entry;
	const struct super_block *sb; /* only compared */
	u64 fs; /* osq_watched.fs; the same for all marks of @sb */
	unsigned int kind;
};

/* Replaced as a whole, and read under RCU. */
extern struct osq_watches __rcu *osq_watches;

/* A handler of events is a reader of this while it may use a table. */
extern struct srcu_struct osq_file_calls;

/* A call of WATCH, with what was found before device_mutex was taken. */
struct osq_watch_order {
	struct osq_watch watch;
	struct osq_path shown; /* of watch, as a table has it */
	struct path found; /* the watched path, or the nearest one above it */
	struct osq_watched *watched; /* NULL once the table has it */
};

u32 osq_watch_action(u32 mask, int data_type);
int osq_watches_open(const struct fsnotify_ops *ops);
void osq_watches_close(void);
void osq_mark_free(struct fsnotify_mark *mark);

/* file_memory.c */
int osq_file_memory_open(void);
void osq_file_memory_close(void);
void osq_file_remember(u64 fs, u64 ino);
bool osq_file_is_remembered(u64 fs, u64 ino);
bool osq_file_is_fresh(u64 fs, u64 ino, u32 pid);
void osq_file_forget_changes(u64 fs, u64 ino);

/* file_event.c */

/* One call of fsnotify. */
struct osq_file_event {
	u32 action;
	u64 fs;
	const struct super_block *sb;
	const struct inode *inode; /* NULL where a name comes before its file */
	struct osq_name name; /* the old one of a rename */
	struct osq_name dest; /* the new one */
	bool has_path; /* its place in its file system is known */
	bool by_other_name; /* a watch covers only another name of it */
	bool by_descriptor; /* which is closed later */
};

bool osq_file_event_is_deleted(const struct osq_file_event *event);
bool osq_file_event_is_of_interest(struct osq_file_event *event);

/* file_path.c */
int osq_path_find(char *path, u32 len, struct path *found);

enum osq_sight {
	OSQ_SIGHT_NONE, /* no watch covers it */
	OSQ_SIGHT_COVERED, /* a watch covered it a moment ago */
	OSQ_SIGHT_UNKNOWN, /* nobody can say: it has no path, or is too deep */
};

enum osq_sight osq_name_sight(const struct osq_name *name,
			      const struct osq_watches *watches, u64 fs,
			      u32 action);
bool osq_name_has_path(const struct osq_name *name);
bool osq_file_has_watched_name(const struct inode *of, u64 fs, u32 action);
bool osq_name_path(const struct osq_name *name, char *buffer,
		   struct osq_path *path, bool *cut);

#endif
