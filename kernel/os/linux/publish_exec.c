// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish_exec.c - a record for every exec, from the sched_process_exec
 * tracepoint.
 *
 * The tracepoint fires in the process itself, after the point of no return: new
 * credentials and memory are in place. It must not fault, so argv and env are
 * read only as far as they are in memory; they were written a moment ago. The
 * record is encoded in a separate buffer and put into the ring in one short
 * step.
 */
#include <linux/audit.h>
#include <linux/binfmts.h>
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/kdev_t.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/tracepoint.h>
#include <linux/tty.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "compat.h"
#include "osq_encode.h"

/*
 * Together with path, cwd and the fixed part, these limits fill the largest
 * record.
 */
#define FILENAME_MAX_BYTES 4096u
#define ARGV_MAX_BYTES 12288u
#define ENV_MAX_BYTES 6832u

static_assert(sizeof(struct osq_exec) + 2 * OSQ_PATH_BUFFER_BYTES +
		      FILENAME_MAX_BYTES + ARGV_MAX_BYTES + ENV_MAX_BYTES +
		      OSQ_CGROUP_MAX_BYTES <=
	      OSQ_RECORD_MAX_BYTES);

static struct osq_ring *target;
static struct tracepoint *hook;
static u64 chosen; /* OSQ_EXEC_* */

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

/* A memfd has a name that only the kernel gives, and no folder. */
static bool is_memfd(const struct dentry *dentry)
{
	static const char name[] = "memfd:";

	return IS_ROOT(dentry) &&
	       !strncmp(dentry->d_name.name, name, sizeof(name) - 1);
}

static void put_paths(struct osq_scratch *scratch, struct task_struct *task,
		      struct linux_binprm *bprm)
{
	struct osq_exec *exec = &scratch->exec;
	struct path cwd = osq_fs_pwd(task->fs);

	if (!osq_append_path(&exec->head, &exec->path, &bprm->file->f_path,
			     scratch->path))
		exec->head.flags |= OSQ_FLAG_NO_PATH;
	if (!osq_append_path(&exec->head, &exec->cwd, &cwd, scratch->path))
		exec->head.flags |= OSQ_FLAG_NO_CWD;
	/*
	 * d_path marks a deleted file in its text, so the flag is exact. A
	 * memfd has no link.
	 */
	if (d_unlinked(bprm->file->f_path.dentry) ||
	    !file_inode(bprm->file)->i_nlink)
		exec->head.flags |= OSQ_FLAG_DELETED;
	if (is_memfd(bprm->file->f_path.dentry))
		exec->head.flags |= OSQ_FLAG_MEMFD;
}

/* The name that is shown of it is /dev/pts/N, /dev/ttyN or so. */
static void put_tty(struct osq_exec *exec)
{
	struct tty_struct *tty = get_current_tty();
	dev_t dev;

	if (!tty)
		return;
	dev = tty_devnum(tty);
	exec->tty = (u64)MAJOR(dev) << 32 | MINOR(dev);
	tty_kref_put(tty);
}

/*
 * What descriptor @fd leads to. The kernel has already closed what the program
 * does not inherit.
 *
 * Return: the mode of the file, pipe, socket or device; 0 when it is closed.
 */
static u32 mode_of_descriptor(unsigned int fd)
{
	struct file *file = fget_raw(fd);
	u32 mode;

	if (!file)
		return 0;
	mode = file_inode(file)->i_mode;
	fput(file);
	return mode;
}

static void put_stdio(struct osq_exec *exec)
{
	exec->stdin_mode = mode_of_descriptor(0);
	exec->stdout_mode = mode_of_descriptor(1);
	exec->stderr_mode = mode_of_descriptor(2);
}

static void put_cgroup(struct osq_scratch *scratch, struct task_struct *task)
{
	u32 len = osq_cgroup_path(task, scratch->path);

	memcpy(osq_append(&scratch->head, &scratch->exec.cgroup, len),
	       scratch->path + OSQ_CGROUP_MAX_BYTES - len, len);
}

static void put_filename(struct osq_exec *exec, const char *filename)
{
	u32 len = strnlen(filename, FILENAME_MAX_BYTES);

	if (filename[len])
		exec->head.flags |= OSQ_FLAG_TRUNC_FILENAME;
	memcpy(osq_append(&exec->head, &exec->filename, len), filename, len);
}

/*
 * Copy the resident bytes of [@start, @start + @size) of user memory, a page at
 * a time, so that the pages before one that is swapped out are still copied.
 *
 * Return: false when a page was not resident.
 */
static bool put_resident(struct osq_exec *exec, struct osq_span *span,
			 unsigned long start, u32 size)
{
	u8 *to = osq_append(&exec->head, span, 0);

	while (span->len < size) {
		unsigned long from = start + span->len;
		u32 step = min_t(u32, size - span->len,
				 PAGE_SIZE - offset_in_page(from));

		if (copy_from_user_nofault(to + span->len,
					   (const void __user *)from, step))
			break;
		span->len += step;
	}
	exec->head.len += span->len;
	return span->len == size;
}

static void put_argv(struct osq_exec *exec, const struct mm_struct *mm)
{
	unsigned long size = mm->arg_end - mm->arg_start;
	u32 wanted = min_t(unsigned long, size, ARGV_MAX_BYTES);

	exec->argv_bytes = min_t(unsigned long, size, U32_MAX);
	if (wanted < size)
		exec->head.flags |= OSQ_FLAG_TRUNC_ARGV;
	if (!put_resident(exec, &exec->argv, mm->arg_start, wanted))
		exec->head.flags |= OSQ_FLAG_PARTIAL_ARGV;
}

static void put_env(struct osq_exec *exec, const struct mm_struct *mm)
{
	unsigned long size = mm->env_end - mm->env_start;
	u32 wanted = min_t(unsigned long, size, ENV_MAX_BYTES);

	exec->env_bytes = min_t(unsigned long, size, U32_MAX);
	if (!(READ_ONCE(chosen) & OSQ_EXEC_ENV))
		wanted = 0;
	else if (wanted < size)
		exec->head.flags |= OSQ_FLAG_TRUNC_ENV;
	if (!put_resident(exec, &exec->env, mm->env_start, wanted))
		exec->head.flags |= OSQ_FLAG_PARTIAL_ENV;
}

/*
 * The path is also compared with the filter, but is known only now. If it is
 * unknown, it is not compared, and the record is made.
 */
static bool path_passes(struct osq_scratch *scratch, struct task_struct *task,
			const struct file *file)
{
	const struct osq_exec *exec = &scratch->exec;
	struct osq_about about = {
		.task = task,
		.path_bytes = exec->path.len,
		.dentry = file->f_path.dentry,
		.buffer = scratch->path,
	};

	if (!(exec->head.flags & OSQ_FLAG_NO_PATH))
		about.path = (const char *)exec + exec->path.off;
	return osq_filter_pass(target, OSQ_TYPE_EXEC, &about);
}

/* Return: false when a filter rejects the record. */
static bool encode(struct osq_scratch *scratch, struct task_struct *task,
		   pid_t old_tid, struct linux_binprm *bprm)
{
	struct osq_exec *exec = &scratch->exec;

	osq_head_fill(&exec->head, sizeof(*exec), OSQ_TYPE_EXEC, &exec->actor);
	exec->old_tid = old_tid;
	exec->argc = bprm->argc;
	exec->envc = bprm->envc;
	put_ids(exec, task);
	put_file(exec, bprm->file);
	osq_namespaces_fill(exec, task);
	osq_script_fill(exec, bprm, old_tid);
	put_paths(scratch, task, bprm);
	if (!path_passes(scratch, task, bprm->file))
		return false;
	put_filename(exec, bprm->filename);
	put_argv(exec, task->mm);
	put_env(exec, task->mm);
	put_tty(exec);
	put_stdio(exec);
	put_cgroup(scratch, task);
	return true;
}

static void on_exec(void *data, struct task_struct *task, pid_t old_tid,
		    struct linux_binprm *bprm)
{
	struct osq_scratch *scratch;
	bool traded;

	if (!osq_filter_pass_task(target, OSQ_TYPE_EXEC, task))
		return;
	traded = osq_encode_begin();
	scratch = osq_scratch_get();
	if (!scratch) {
		osq_publish_nothing(target, OSQ_TYPE_EXEC, OSQ_DROP_NESTED);
	} else {
		if (encode(scratch, task, old_tid, bprm))
			osq_publish(target, &scratch->head,
				    osq_rank_of_caller());
		osq_scratch_put(scratch);
	}
	osq_encode_end(traded);
}

/* osq_publish_exec_probe - see struct osq_publisher. */
bool osq_publish_exec_probe(void)
{
	return osq_tracepoint_find("sched_process_exec");
}

/*
 * osq_publish_exec_start - see struct osq_publisher.
 *
 * Return: 0; -ENOMEM; -EOPNOTSUPP on a kernel without the tracepoint.
 */
int osq_publish_exec_start(struct osq_ring *ring, u64 options)
{
	int err;

	hook = osq_tracepoint_find("sched_process_exec");
	if (!hook)
		return -EOPNOTSUPP;
	err = osq_scratch_open();
	if (err)
		return err;
	err = osq_scripts_open();
	if (err)
		goto close_scratch;
	target = ring;
	osq_publish_exec_configure(options);
	err = tracepoint_probe_register(hook, on_exec, NULL);
	if (!err)
		return 0;
	osq_scripts_close();
close_scratch:
	osq_scratch_close();
	return err;
}

/* osq_publish_exec_configure - see struct osq_publisher. */
void osq_publish_exec_configure(u64 options)
{
	WRITE_ONCE(chosen, options);
}

/*
 * osq_publish_exec_stop - see struct osq_publisher.
 *
 * After tracepoint_synchronize_unregister no probe is running on any CPU, so
 * ring and scratch are no longer used.
 */
void osq_publish_exec_stop(void)
{
	tracepoint_probe_unregister(hook, on_exec, NULL);
	tracepoint_synchronize_unregister();
	osq_scripts_close();
	osq_scratch_close();
}
