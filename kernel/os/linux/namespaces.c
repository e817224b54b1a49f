// SPDX-License-Identifier: GPL-2.0-only
/* namespaces.c - the numbers of a process's namespaces and control group. */
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/ipc_namespace.h>
#include <linux/kernfs.h>
#include <linux/nsproxy.h>
#include <linux/pid_namespace.h>
#include <linux/proc_ns.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/time_namespace.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>
#include <linux/utsname.h>
#include <net/net_namespace.h>

#include "compat.h"
#include "osq_linux.h"

/* Where a mount namespace has its ns_common; negative: it is not known. */
static int mnt_ns_offset = -1;

static const struct ns_common *common_of(const struct mnt_namespace *ns,
					 int offset)
{
	return (const void *)ns + offset;
}

/*
 * osq_namespaces_probe - where is the number of a mount namespace?
 *
 * struct mnt_namespace is private to the kernel. Since 5.11 it begins with its
 * ns_common; before, a counter precedes that. Which it is here is checked on
 * the first process's, which must have the mark of a mount namespace.
 *
 * Context: init; nothing is published yet.
 */
void osq_namespaces_probe(void)
{
	static const int offsets[] = { 0, sizeof(long) };
	const struct mnt_namespace *first = init_task.nsproxy->mnt_ns;
	size_t at;

	for (at = 0; mnt_ns_offset < 0 && at < ARRAY_SIZE(offsets); at++)
		if (osq_ns_is_mnt(common_of(first, offsets[at])))
			mnt_ns_offset = offsets[at];
}

bool osq_namespaces_has_mnt(void)
{
	return mnt_ns_offset >= 0;
}

#ifdef CONFIG_CGROUPS
static u64 number_of_cgroup(struct task_struct *task)
{
	u64 number;

	rcu_read_lock();
	number = cgroup_id(task_dfl_cgroup(task));
	rcu_read_unlock();
	return number;
}
#else
static u64 number_of_cgroup(struct task_struct *task)
{
	return 0;
}
#endif

/*
 * osq_namespaces_fill - fill in those of @task, which is current. Context: any.
 */
void osq_namespaces_fill(struct osq_exec *exec, struct task_struct *task)
{
	const struct nsproxy *all = task->nsproxy;

	exec->ns_pid = task_tgid_vnr(task);
	exec->pid_ns = task_active_pid_ns(task)->ns.inum;
	exec->user_ns = current_user_ns()->ns.inum;
	exec->uts_ns = all->uts_ns->ns.inum;
#ifdef CONFIG_IPC_NS
	exec->ipc_ns = all->ipc_ns->ns.inum;
#endif
	exec->net_ns = all->net_ns->ns.inum;
	exec->cgroup_ns = all->cgroup_ns->ns.inum;
	if (osq_namespaces_has_mnt())
		exec->mnt_ns = common_of(all->mnt_ns, mnt_ns_offset)->inum;
	else
		exec->head.flags |= OSQ_FLAG_NO_MNT_NS;
	exec->cgroup_id = number_of_cgroup(task);
}

static u32 number_of_time(const struct nsproxy *all)
{
#ifdef CONFIG_TIME_NS
	return all->time_ns_for_children->ns.inum;
#else
	return 0;
#endif
}

/*
 * osq_namespaces_after - fill in those of @all, and the caller's user namespace.
 * Context: any; @all cannot go away meanwhile.
 */
void osq_namespaces_after(struct osq_namespace *record,
			  const struct nsproxy *all)
{
	record->pid_ns = all->pid_ns_for_children->ns.inum;
	record->time_ns = number_of_time(all);
	record->user_ns = current_user_ns()->ns.inum;
	record->uts_ns = all->uts_ns->ns.inum;
#ifdef CONFIG_IPC_NS
	record->ipc_ns = all->ipc_ns->ns.inum;
#endif
	record->net_ns = all->net_ns->ns.inum;
	record->cgroup_ns = all->cgroup_ns->ns.inum;
	if (osq_namespaces_has_mnt())
		record->mnt_ns = common_of(all->mnt_ns, mnt_ns_offset)->inum;
	else
		record->head.flags |= OSQ_FLAG_NO_MNT_NS;
}

/*
 * osq_cgroup_path - the path of a process's group in the unified hierarchy.
 * @to: OSQ_CGROUP_MAX_BYTES; the path is written to its end.
 *
 * The kernel's cgroup_path() goes through the groups above once for each of
 * them, with a lock that has interrupts off, and any user may nest groups. Here
 * they are climbed once, until the path is too long. No group of this hierarchy
 * can be renamed, and each holds its name and the group above.
 *
 * Context: an RCU reader; on PREEMPT_RT one that may be preempted.
 * Return: its length; 0 when it has OSQ_CGROUP_MAX_BYTES or more, or the kernel
 * has no groups.
 */
u32 osq_cgroup_path(struct task_struct *task, char *to)
{
#ifdef CONFIG_CGROUPS
	struct cgroup *group = task_dfl_cgroup(task);
	u32 at = OSQ_CGROUP_MAX_BYTES;

	for (; cgroup_parent(group); group = cgroup_parent(group)) {
		/* Newer kernels (7.3) mark it as read under RCU. */
		const char *name = rcu_dereference_raw(group->kn->name);
		size_t len = strlen(name);

		if (len + 1 >= at)
			return 0;
		at -= len;
		memcpy(to + at, name, len);
		to[--at] = '/';
	}
	if (at == OSQ_CGROUP_MAX_BYTES)
		to[--at] = '/';
	return OSQ_CGROUP_MAX_BYTES - at;
#else
	return 0;
#endif
}
