// SPDX-License-Identifier: GPL-2.0-only
/*
 * filter.c - the owner's filters, one for each type of records, and what a
 * process is to them.
 *
 * A publisher reads its filter under RCU and may be at it while another one
 * is put in its place; the old one is freed after a grace period. A record is
 * judged by one filter as a whole.
 */
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

#include "osq_filter.h"
#include "osq_linux.h"

struct held_filter {
	struct rcu_head rcu;
	struct osq_filter filter;
};

/* Written under device_mutex; NULL lets everything in. */
static struct held_filter __rcu *filters[OSQ_TYPE_COUNT];

/* Context: device_mutex is held, which device.c has. */
static void replace(u32 type, struct held_filter *held)
{
	struct held_filter *old;

	old = rcu_replace_pointer(filters[type], held, true);
	if (old)
		kfree_rcu(old, rcu);
}

/*
 * osq_filter_set - have @filter decide on its type from now on.
 *
 * What begins after the return goes by it; a callback that runs meanwhile
 * goes by it or by the one before.
 *
 * Context: may sleep; device_mutex is held.
 * Return: 0; as osq_device_check_filter; -ENOMEM; and then nothing has changed.
 */
int osq_filter_set(const struct osq_session *session,
		   const struct osq_filter *filter)
{
	struct held_filter *held = NULL;
	int err = osq_device_check_filter(session, filter);

	if (err)
		return err;

	if (osq_filter_conditions(filter)) {
		held = kmalloc(sizeof(*held), GFP_KERNEL_ACCOUNT);
		if (!held)
			return -ENOMEM;
		held->filter = *filter;
	}
	replace(filter->type, held);
	return 0;
}

/* osq_filter_clear - let everything in again. Context: as osq_filter_set. */
void osq_filter_clear(void)
{
	u32 type;

	for (type = 0; type < OSQ_TYPE_COUNT; type++)
		replace(type, NULL);
}

/* From its own namespace upwards: each holds a reference on the next. */
static bool in_pid_ns(const struct osq_filter *filter, struct task_struct *task)
{
	struct pid_namespace *ns;

	if (!filter->pid_ns_count)
		return false;
	for (ns = task_active_pid_ns(task); ns; ns = ns->parent)
		if (osq_filter_has_pid_ns(filter, ns->ns.inum))
			return true;
	return false;
}

/*
 * From its own group upwards. The caller is in an RCU reader: a css_set, the
 * group that it names and the groups above are freed a grace period after
 * the last task has left.
 */
static bool in_cgroup(const struct osq_filter *filter, struct task_struct *task)
{
	struct cgroup *group;

	if (!filter->cgroup_count)
		return false;
	for (group = task_dfl_cgroup(task); group; group = cgroup_parent(group))
		if (osq_filter_has_cgroup(filter, cgroup_id(group)))
			return true;
	return false;
}

/*
 * osq_filter_takes - may a record of @type about @task be made?
 * @path: of @path_bytes; NULL when there is none, or it is not known yet:
 * then a condition on it lets in, and is to be asked again when it is.
 *
 * Context: any but NMI; @task does not go away meanwhile.
 */
bool osq_filter_takes(u32 type, struct task_struct *task, const char *path,
		      u32 path_bytes)
{
	struct osq_subject subject = { .path = path, .path_bytes = path_bytes };
	const struct held_filter *held;
	bool lets = true;

	rcu_read_lock();
	held = rcu_dereference(filters[type]);
	if (held) {
		subject.uid = from_kuid(&init_user_ns, __task_cred(task)->uid);
		subject.in_pid_ns = in_pid_ns(&held->filter, task);
		subject.in_cgroup = in_cgroup(&held->filter, task);
		lets = osq_filter_lets(&held->filter, &subject);
	}
	rcu_read_unlock();
	return lets;
}

/*
 * osq_filter_pass - osq_filter_takes, and count what is kept out, as filtered.
 *
 * Ask before anything is spent on the record. Context: as above.
 */
bool osq_filter_pass(struct osq_ring *ring, u32 type, struct task_struct *task,
		     const char *path, u32 path_bytes)
{
	bool takes = osq_filter_takes(type, task, path, path_bytes);

	if (!takes)
		osq_ring_filtered(ring, type);
	return takes;
}
