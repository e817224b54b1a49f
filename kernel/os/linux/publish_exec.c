// SPDX-License-Identifier: GPL-2.0
/*
 * publish_exec.c - a record for every exec, from the sched_process_exec
 * tracepoint.
 *
 * The tracepoint fires in the process itself, after the point of no return:
 * new credentials and memory are in place. It must not sleep, so argv is
 * read without faulting; its pages were written a moment ago. The record is
 * encoded in a buffer of this CPU and goes into the ring in one short step.
 */
#include <linux/audit.h>
#include <linux/binfmts.h>
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/kdev_t.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sched/signal.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "compat.h"
#include "osq_linux.h"

#define FILENAME_MAX_BYTES 4096u
#define ARGV_MAX_BYTES 16384u
/* d_path builds its answer at the end of a buffer of this size. */
#define PATH_BUFFER_BYTES 4096u

struct scratch {
	union {
		struct osq_exec exec;
		u8 record[OSQ_RECORD_MAX_BYTES];
	};
	char path[PATH_BUFFER_BYTES];
	bool busy; /* this CPU is encoding; only this CPU looks */
};

static DEFINE_PER_CPU(struct scratch *, scratches);
static struct osq_ring *target;
static struct tracepoint *hook;

/* Append @len bytes to the record; the caller has checked the room. */
static void *append(struct osq_exec *exec, struct osq_span *span, u32 len)
{
	span->off = exec->head.len;
	span->len = len;
	exec->head.len += len;
	return (u8 *)exec + span->off;
}

static void put_ids(struct osq_exec *exec, struct task_struct *task)
{
	const struct cred *cred = current_cred();
	struct user_namespace *ns = &init_user_ns;

	exec->uid = from_kuid(ns, cred->uid);
	exec->euid = from_kuid(ns, cred->euid);
	exec->suid = from_kuid(ns, cred->suid);
	exec->fsuid = from_kuid(ns, cred->fsuid);
	exec->gid = from_kgid(ns, cred->gid);
	exec->egid = from_kgid(ns, cred->egid);
	exec->sgid = from_kgid(ns, cred->sgid);
	exec->fsgid = from_kgid(ns, cred->fsgid);
	exec->auid = from_kuid(ns, audit_get_loginuid(task));
	exec->session = audit_get_sessionid(task);
}

static void put_file(struct osq_exec *exec, const struct file *file)
{
	const struct inode *inode = file_inode(file);
	dev_t dev = inode->i_sb->s_dev;
	struct timespec64 atime = osq_inode_atime(inode);
	struct timespec64 mtime = osq_inode_mtime(inode);
	struct timespec64 ctime = osq_inode_ctime(inode);

	exec->mode = inode->i_mode;
	exec->owner_uid = from_kuid(&init_user_ns, inode->i_uid);
	exec->owner_gid = from_kgid(&init_user_ns, inode->i_gid);
	exec->dev = (u64)MAJOR(dev) << 32 | MINOR(dev);
	exec->ino = inode->i_ino;
	exec->atime_ns = timespec64_to_ns(&atime);
	exec->mtime_ns = timespec64_to_ns(&mtime);
	exec->ctime_ns = timespec64_to_ns(&ctime);
}

static void put_path(struct scratch *scratch, struct file *file)
{
	struct osq_exec *exec = &scratch->exec;
	char *path = d_path(&file->f_path, scratch->path, PATH_BUFFER_BYTES);
	u32 len;

	if (IS_ERR(path)) {
		exec->head.flags |= OSQ_FLAG_NO_PATH;
		append(exec, &exec->path, 0);
		return;
	}
	len = strlen(path);
	memcpy(append(exec, &exec->path, len), path, len);
}

static void put_filename(struct osq_exec *exec, const char *filename)
{
	u32 len = strnlen(filename, FILENAME_MAX_BYTES);

	if (filename[len])
		exec->head.flags |= OSQ_FLAG_TRUNC_FILENAME;
	memcpy(append(exec, &exec->filename, len), filename, len);
}

/* One page at a time, so that what is resident is not lost with the rest. */
static void put_argv(struct osq_exec *exec, const struct mm_struct *mm)
{
	unsigned long start = mm->arg_start;
	unsigned long size = mm->arg_end - start;
	u32 wanted = min_t(unsigned long, size, ARGV_MAX_BYTES);
	u8 *to = append(exec, &exec->argv, 0);
	u32 done = 0;

	exec->argv_bytes = min_t(unsigned long, size, U32_MAX);
	if (wanted < size)
		exec->head.flags |= OSQ_FLAG_TRUNC_ARGV;
	while (done < wanted) {
		unsigned long from = start + done;
		u32 step = min_t(u32, wanted - done,
				 PAGE_SIZE - offset_in_page(from));

		if (copy_from_user_nofault(to + done, (void __user *)from,
					   step)) {
			exec->head.flags |= OSQ_FLAG_PARTIAL_ARGV;
			break;
		}
		done += step;
	}
	exec->argv.len = done;
	exec->head.len += done;
}

static void encode(struct scratch *scratch, struct task_struct *task,
		   pid_t old_tid, struct linux_binprm *bprm)
{
	struct osq_exec *exec = &scratch->exec;

	osq_head_fill(&exec->head, sizeof(*exec), OSQ_TYPE_EXEC, task);
	exec->old_tid = old_tid;
	exec->argc = bprm->argc;
	put_ids(exec, task);
	put_file(exec, bprm->file);
	put_path(scratch, bprm->file);
	put_filename(exec, bprm->filename);
	put_argv(exec, task->mm);
}

static void on_exec(void *data, struct task_struct *task, pid_t old_tid,
		    struct linux_binprm *bprm)
{
	struct scratch *scratch;

	/* Tracepoints stop doing this for us in 7.0. */
	preempt_disable();
	scratch = this_cpu_read(scratches);
	if (scratch->busy) {
		osq_ring_drop(target, OSQ_DROP_NESTED, 1);
	} else {
		scratch->busy = true;
		encode(scratch, task, old_tid, bprm);
		osq_ring_put(target, &scratch->exec.head);
		scratch->busy = false;
	}
	preempt_enable();
	osq_device_wake();
}

static void free_scratches(void)
{
	int cpu;

	for_each_possible_cpu (cpu) {
		kvfree(per_cpu(scratches, cpu));
		per_cpu(scratches, cpu) = NULL;
	}
}

static int alloc_scratches(void)
{
	int cpu;

	for_each_possible_cpu (cpu) {
		struct scratch *scratch =
			kvzalloc(sizeof(*scratch), GFP_KERNEL_ACCOUNT);

		if (!scratch) {
			free_scratches();
			return -ENOMEM;
		}
		per_cpu(scratches, cpu) = scratch;
	}
	return 0;
}

/*
 * osq_publish_exec_start - see struct osq_publisher.
 *
 * Return: 0; -ENOMEM; -EOPNOTSUPP on a kernel without the tracepoint.
 */
int osq_publish_exec_start(struct osq_ring *ring)
{
	int err;

	hook = osq_tracepoint_find("sched_process_exec");
	if (!hook)
		return -EOPNOTSUPP;
	err = alloc_scratches();
	if (err)
		return err;
	target = ring;
	err = tracepoint_probe_register(hook, on_exec, NULL);
	if (err)
		free_scratches();
	return err;
}

/*
 * osq_publish_exec_stop - see struct osq_publisher.
 *
 * After tracepoint_synchronize_unregister no probe is running on any CPU, so
 * ring and scratch have no user left.
 */
void osq_publish_exec_stop(void)
{
	tracepoint_probe_unregister(hook, on_exec, NULL);
	tracepoint_synchronize_unregister();
	free_scratches();
}
