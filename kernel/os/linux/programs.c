// SPDX-License-Identifier: GPL-2.0-only
/*
 * programs.c - the file that a process runs, as /proc/PID/exe leads to it.
 *
 * It hangs on the process's memory, which a thread that ends gives up before
 * the kernel closes the files and sockets that it has left, and before 6.16
 * also before its exit record. Therefore a kprobe at the beginning of that
 * remembers it, while somebody has subscribed to a type that needs it. Where
 * that kprobe does not work, such records have no program.
 */
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/kprobes.h>
#include <linux/mm_types.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "osq_linux.h"
#include "osq_sets.h"
#include "osq_test_build.h"

#define HOOK "exit_signals"
#define WAYS 4
/* The lock is held for some instructions; each turn is a pause of the CPU. */
#define LOCK_TURNS 256

struct program {
	u64 dev, ino;
};

struct entry {
	u64 start_ns; /* of the thread; tid and start_ns are of one alone */
	u64 used; /* set.clock when it was remembered */
	struct program program;
	pid_t tid; /* 0: free */
};

struct set {
	struct osq_set base;
	u64 clock;
	struct entry way[WAYS];
};

static struct osq_sets sets = { .bits = 10, .bytes = sizeof(struct set) };
static bool is_open; /* there are sets; read under RCU */
static bool is_hooked; /* protected by device_mutex, as is the next one */
static int users;
static struct kprobe hook;

/*
 * A file is freed under RCU, but since 6.7 its memory may become another file
 * at once. So what was read is right if the file is the process's afterwards.
 * Context: an RCU reader; @mm cannot go away meanwhile.
 */
static struct program program_in(const struct mm_struct *mm)
{
	struct program program;
	const struct file *file;

	do {
		const struct inode *inode;

		program = (struct program){};
		file = rcu_dereference(mm->exe_file);
		inode = file ? READ_ONCE(file->f_inode) : NULL;
		if (inode) {
			dev_t dev = inode->i_sb->s_dev;

			program.dev = (u64)MAJOR(dev) << 32 | MINOR(dev);
			program.ino = inode->i_ino;
		}
		smp_rmb(); /* what was read of the file is older than the check */
	} while (file != rcu_access_pointer(mm->exe_file));
	return program;
}

static int on_leaving(struct kprobe *probe, struct pt_regs *regs)
{
	struct program program;
	struct entry *oldest;
	struct set *set;
	int at;

	if (!current->mm || current->flags & PF_KTHREAD)
		return 0;
	rcu_read_lock();
	program = program_in(current->mm);
	rcu_read_unlock();
	set = osq_set_lock(&sets, current->pid);
	oldest = &set->way[0];
	for (at = 1; at < WAYS; at++)
		if (set->way[at].used < oldest->used)
			oldest = &set->way[at];
	*oldest = (struct entry){
		.start_ns = current->start_boottime,
		.used = ++set->clock,
		.program = program,
		.tid = current->pid,
	};
	osq_set_unlock(&set->base);
	return 0;
}

/* Context: an RCU reader. */
static struct program remembered_of(const struct task_struct *task)
{
	struct program program = {};
	struct set *set;
	int at;

	/* Pairs with the release by which osq_programs_open shows the sets. */
	if (!smp_load_acquire(&is_open))
		return program;
	set = osq_set_lock(&sets, task->pid);
	for (at = 0; at < WAYS; at++)
		if (set->way[at].tid == task->pid &&
		    set->way[at].start_ns == task->start_boottime)
			program = set->way[at].program;
	osq_set_unlock(&set->base);
	return program;
}

/* Context: an RCU reader; @task is current, or its alloc_lock is held. */
static struct program program_of(const struct task_struct *task)
{
	if (task->flags & PF_KTHREAD)
		return (struct program){};
	return task->mm ? program_in(task->mm) : remembered_of(task);
}

/*
 * Hooks run where one may not sleep, and with PREEMPT_RT this lock does. Who
 * holds it does so for a moment, and takes none of the driver's.
 */
static struct program program_of_other(struct task_struct *task)
{
	struct program program = {};
	int turn;

	for (turn = 0; turn < LOCK_TURNS; turn++) {
		if (spin_trylock(&task->alloc_lock)) {
			program = program_of(task);
			spin_unlock(&task->alloc_lock);
			break;
		}
		cpu_relax();
	}
	return program;
}

/*
 * osq_programs_fill - fill in the programs of the caller and of its @parent.
 * That of the parent is unknown when its lock is not to be had.
 *
 * Context: a process, an RCU reader; nothing sleeps.
 */
void osq_programs_fill(struct osq_actor *actor, struct task_struct *parent)
{
	struct program program = program_of(current);

	actor->program_dev = program.dev;
	actor->program_ino = program.ino;
	program = program_of_other(parent);
	actor->parent_dev = program.dev;
	actor->parent_ino = program.ino;
}

/*
 * osq_program_of_locked - the program of a task whose alloc_lock is held.
 * Context: nothing sleeps.
 */
void osq_program_of_locked(const struct task_struct *task, u64 *dev, u64 *ino)
{
	struct program program;

	rcu_read_lock();
	program = program_of(task);
	rcu_read_unlock();
	*dev = program.dev;
	*ino = program.ino;
}

/*
 * osq_program_of_other - the program of a task that is not current; 0, 0 when
 * its lock is not to be had. Context: @task cannot go away; nothing sleeps.
 */
void osq_program_of_other(struct task_struct *task, u64 *dev, u64 *ino)
{
	struct program program;

	rcu_read_lock();
	program = program_of_other(task);
	rcu_read_unlock();
	*dev = program.dev;
	*ino = program.ino;
}

/*
 * osq_programs_open - remember the programs of threads that end, until
 * osq_programs_close. On a kernel without the hook nothing is remembered.
 *
 * Context: may sleep; device_mutex is held.
 * Return: 0 or -ENOMEM.
 */
int osq_programs_open(void)
{
	int err;

	if (users)
		goto opened;
	err = osq_sets_open(&sets);
	if (err)
		return err;
	hook = (struct kprobe){ .symbol_name = HOOK,
				.pre_handler = on_leaving };
	is_hooked = !osq_test_hides(HOOK) && !register_kprobe(&hook);
	smp_store_release(&is_open, true);
opened:
	users++;
	return 0;
}

/* osq_programs_close - see osq_programs_open. Context: as there. */
void osq_programs_close(void)
{
	if (--users)
		return;
	if (is_hooked)
		unregister_kprobe(&hook);
	WRITE_ONCE(is_open, false);
	/* Records of other types may be looking into the sets. */
	synchronize_rcu();
	osq_sets_close(&sets);
}
