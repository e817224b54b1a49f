// SPDX-License-Identifier: GPL-2.0-only
/*
 * scripts.c - the file that an exec was asked for, where another one runs: a
 * script, whose interpreter the record of the exec is about.
 *
 * The kernel gives the script's file back before it tells of the exec. So a
 * kprobe at security_bprm_creds_for_exec, which it calls once for each exec and
 * with the file that was asked for, remembers its device and inode. Where that
 * kprobe does not work, scripts have none.
 */
#include <linux/binfmts.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/kprobes.h>
#include <linux/sched.h>

#include "compat.h"
#include "osq_linux.h"
#include "osq_sets.h"
#include "osq_test_build.h"

#define HOOK "security_bprm_creds_for_exec"
#define WAYS 4

/* An exec that has begun; the same thread's next one takes its place. */
struct entry {
	const struct linux_binprm *bprm; /* only compared */
	u64 used; /* set.clock when it was remembered */
	u64 dev, ino;
	pid_t tid; /* before the exec; 0: free */
};

struct set {
	struct osq_set base;
	u64 clock;
	struct entry way[WAYS];
};

static struct osq_sets sets = { .bits = 10, .bytes = sizeof(struct set) };
static bool is_hooked; /* protected by device_mutex */
static struct kprobe hook;

/* The entry of a thread, or else the one that was used longest ago. */
static struct entry *entry_for(struct set *set, pid_t tid)
{
	struct entry *oldest = &set->way[0];
	int at;

	for (at = 0; at < WAYS; at++) {
		if (set->way[at].tid == tid)
			return &set->way[at];
		if (set->way[at].used < oldest->used)
			oldest = &set->way[at];
	}
	return oldest;
}

static int on_exec_begins(struct kprobe *probe, struct pt_regs *regs)
{
	const struct linux_binprm *bprm = (void *)osq_argument(regs, 0);
	const struct inode *inode = file_inode(bprm->file);
	dev_t dev = inode->i_sb->s_dev;
	struct set *set = osq_set_lock(&sets, current->pid);

	*entry_for(set, current->pid) =
		(struct entry){ .bprm = bprm,
				.used = ++set->clock,
				.dev = (u64)MAJOR(dev) << 32 | MINOR(dev),
				.ino = inode->i_ino,
				.tid = current->pid };
	osq_set_unlock(&set->base);
	return 0;
}

/*
 * osq_script_fill - fill in the script of an exec, if it is one's.
 * @old_tid: of the thread before the exec.
 *
 * Context: the hook of the exec, between open and close; nothing sleeps.
 */
void osq_script_fill(struct osq_exec *exec, const struct linux_binprm *bprm,
		     pid_t old_tid)
{
	struct entry *entry;
	struct set *set;

	/* For a program both are the same string. */
	if (bprm->interp == bprm->filename)
		return;
	set = osq_set_lock(&sets, old_tid);
	entry = entry_for(set, old_tid);
	if (entry->tid == old_tid && entry->bprm == bprm) {
		exec->script_dev = entry->dev;
		exec->script_ino = entry->ino;
	}
	osq_set_unlock(&set->base);
}

/*
 * osq_scripts_open - remember what execs are asked for, until
 * osq_scripts_close. On a kernel without the hook nothing is remembered.
 *
 * Context: may sleep; device_mutex is held.
 * Return: 0 or -ENOMEM.
 */
int osq_scripts_open(void)
{
	int err = osq_sets_open(&sets);

	if (err)
		return err;
	hook = (struct kprobe){ .symbol_name = HOOK,
				.pre_handler = on_exec_begins };
	is_hooked = osq_probes_have_arguments() && !osq_test_hides(HOOK) &&
		    !register_kprobe(&hook);
	return 0;
}

/* osq_scripts_close - see there; no exec's hook runs any more. */
void osq_scripts_close(void)
{
	if (is_hooked)
		unregister_kprobe(&hook);
	is_hooked = false;
	osq_sets_close(&sets);
}
