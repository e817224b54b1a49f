// SPDX-License-Identifier: GPL-2.0-only
/*
 * file_event.c - does an event of fsnotify deserve a record?
 *
 * It does when a watch covers the file, by this name or by another one, and
 * when it is not one of many writes in a row.
 */
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "osq_file.h"

/*
 * osq_file_event_is_deleted - was the name removed before the event? A rename
 * or an unlink still has it.
 */
bool osq_file_event_is_deleted(const struct osq_file_event *event)
{
	return !event->name.below && !event->dest.dentry &&
	       event->action != OSQ_FILE_CREATE &&
	       d_unlinked((struct dentry *)event->name.dentry);
}

/* Return: can a watch cover one of the event's names? */
static bool is_in_sight(struct osq_file_event *event)
{
	const struct osq_watches *watches;
	enum osq_sight sight;

	rcu_read_lock();
	watches = rcu_dereference(osq_watches);
	sight = osq_name_sight(&event->name, watches, event->fs, event->action);
	if (sight == OSQ_SIGHT_NONE && event->dest.dentry)
		sight = osq_name_sight(&event->dest, watches, event->fs,
				       event->action);
	rcu_read_unlock();
	event->has_path = sight != OSQ_SIGHT_UNKNOWN;
	return sight != OSQ_SIGHT_NONE;
}

/*
 * Can the file have names beside the event's? It has more than one; or it had
 * a moment ago; or the event's name is gone while the file is not. Such is a
 * file made without a name (O_TMPFILE) that was linked afterwards, which its
 * writer goes on to know by no name.
 */
static bool has_other_names(const struct osq_file_event *event)
{
	const struct inode *inode = event->inode;

	if (!inode || S_ISDIR(inode->i_mode))
		return false;
	return inode->i_nlink > 1 || event->action == OSQ_FILE_UNLINK ||
	       event->action == OSQ_FILE_LINK ||
	       (inode->i_nlink && osq_file_event_is_deleted(event));
}

/*
 * A process that writes has one record a second, since the close is recorded at
 * the end. What changes a file without a descriptor has no close; and after a
 * close, another descriptor may not have one for long.
 */
static bool is_news(const struct osq_file_event *event)
{
	const struct inode *inode = event->inode;
	bool is_fresh;

	if (inode && event->action == OSQ_FILE_CLOSE_WRITE)
		osq_file_forget_changes(event->fs, inode->i_ino);
	if (!inode || event->action != OSQ_FILE_MODIFY)
		return true;
	is_fresh = osq_file_is_fresh(event->fs, inode->i_ino,
				     task_tgid_nr(current));
	return is_fresh || !event->by_descriptor;
}

/*
 * osq_file_event_is_of_interest - is it news of a watched file, by any of its
 * names?
 *
 * Other names are searched only for a file that can have some.
 */
bool osq_file_event_is_of_interest(struct osq_file_event *event)
{
	const struct inode *inode = event->inode;
	bool has_names = has_other_names(event);
	bool is_seen = is_in_sight(event);

	if (has_names && !is_seen) {
		event->by_other_name =
			osq_file_is_remembered(event->fs, inode->i_ino) ||
			osq_file_has_watched_name(inode, event->fs,
						  event->action);
		event->has_path = true;
	}
	if (!is_seen && !event->by_other_name)
		return false;
	if (has_names && event->has_path)
		osq_file_remember(event->fs, inode->i_ino);
	return is_news(event);
}
