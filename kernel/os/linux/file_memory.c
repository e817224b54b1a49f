// SPDX-License-Identifier: GPL-2.0-only
/*
 * file_memory.c - remember watched files that have other names, and processes
 * that changed a file a moment ago.
 *
 * A file with several names may be changed by a name that no watch covers. Its
 * inode number is remembered once it was seen under a watch, or was linked from
 * there. When the memory is full, all files of the file system that have
 * several names are treated as watched: then there are records too many, and
 * none too few.
 *
 * A program that writes causes an event at each write. One record a second for
 * each process and file is enough, because the close gives the final state.
 */
#include <linux/jiffies.h>

#include "osq_file.h"
#include "osq_sets.h"

#define WAYS 8

struct linked {
	u64 fs; /* 0: free */
	u64 ino;
};

struct change {
	u64 fs; /* 0: free */
	u64 ino;
	u32 pid;
	unsigned long when; /* jiffies */
};

struct set {
	struct osq_set base;
	bool is_over; /* one more was needed than fits */
	u32 next; /* the entry of changes to replace next */
	struct linked linked[WAYS];
	struct change changes[WAYS];
};

/* From open to close; no handler runs outside. */
static struct osq_sets sets = { .bits = 9, .bytes = sizeof(struct set) };

/*
 * osq_file_memory_open - allocate the memory.
 *
 * Context: may sleep; device_mutex is held.
 * Return: 0 or -ENOMEM.
 */
int osq_file_memory_open(void)
{
	return osq_sets_open(&sets);
}

/* osq_file_memory_close - free the memory; no handler runs any more. */
void osq_file_memory_close(void)
{
	osq_sets_close(&sets);
}

static struct set *lock_set_of(u64 fs, u64 ino)
{
	return osq_set_lock(&sets, ino ^ fs << 48);
}

/*
 * Context: the set's lock is held. Return: NULL when the file is not found and
 * no entry is free.
 */
static struct linked *find_linked(struct set *set, u64 fs, u64 ino)
{
	int at;

	for (at = 0; at < WAYS; at++)
		if (set->linked[at].fs == fs && set->linked[at].ino == ino)
			return &set->linked[at];
	return NULL;
}

/*
 * osq_file_remember - remember a watched file that has other names. Context:
 * any.
 */
void osq_file_remember(u64 fs, u64 ino)
{
	struct set *set = lock_set_of(fs, ino);
	struct linked *one;

	one = find_linked(set, fs, ino);
	if (!one)
		one = find_linked(set, 0, 0);
	if (one) {
		one->fs = fs;
		one->ino = ino;
	} else {
		set->is_over = true;
	}
	osq_set_unlock(&set->base);
}

/*
 * osq_file_is_remembered - is the file remembered, or may it be? Context: any.
 */
bool osq_file_is_remembered(u64 fs, u64 ino)
{
	struct set *set = lock_set_of(fs, ino);
	bool is;

	is = set->is_over || find_linked(set, fs, ino);
	osq_set_unlock(&set->base);
	return is;
}

/*
 * osq_file_is_fresh - is this the process's first change of the file for a
 * moment? If so, the change is remembered.
 *
 * An entry that was replaced by another one causes one more record; a record is
 * never missing because of it.
 * Context: any.
 */
bool osq_file_is_fresh(u64 fs, u64 ino, u32 pid)
{
	struct set *set = lock_set_of(fs, ino);
	struct change *one = NULL;
	bool is_fresh = true;
	int at;

	for (at = 0; !one && at < WAYS; at++)
		if (set->changes[at].fs == fs && set->changes[at].ino == ino &&
		    set->changes[at].pid == pid)
			one = &set->changes[at];
	if (one)
		is_fresh = time_after_eq(jiffies, one->when + HZ);
	else
		one = &set->changes[set->next++ % WAYS];
	if (is_fresh)
		*one = (struct change){
			.fs = fs, .ino = ino, .pid = pid, .when = jiffies
		};
	osq_set_unlock(&set->base);
	return is_fresh;
}

/*
 * osq_file_forget_changes - the next change of the file is a first one again,
 * whoever makes it. Context: any.
 */
void osq_file_forget_changes(u64 fs, u64 ino)
{
	struct set *set = lock_set_of(fs, ino);
	int at;

	for (at = 0; at < WAYS; at++)
		if (set->changes[at].fs == fs && set->changes[at].ino == ino)
			set->changes[at].fs = 0;
	osq_set_unlock(&set->base);
}
