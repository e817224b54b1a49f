// SPDX-License-Identifier: GPL-2.0-only
/*
 * filter.c - the owner's filters, one for each type of records, and the facts
 * about a process that they compare.
 *
 * A publisher reads its filter under RCU and may still use it while another one
 * replaces it; the old one is freed after a grace period. A record is judged by
 * one filter as a whole.
 */
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/llist.h>
#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/user_namespace.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "osq_filter.h"
#include "osq_held_filter.h"
#include "osq_linux.h"

/*
 * At most this many groups are climbed, because a user with a group of his own
 * may nest groups in it without end.
 */
#define CGROUP_CLIMB_MAX 256u

/* Written under device_mutex; NULL passes every record. */
static struct osq_held_filter __rcu *filters[OSQ_TYPE_COUNT];

/* Context: device_mutex is held by device.c. */
static struct osq_held_filter *replace(u32 type, struct osq_held_filter *held)
{
	return rcu_replace_pointer(filters[type], held, true);
}

/*
 * osq_filter_set - use another filter for its type from now on.
 * @held: of osq_filter_prepare; afterwards the earlier filter, or NULL, which
 * the caller frees with osq_held_filter_put.
 *
 * A callback that begins after the return uses the new filter; one that runs
 * meanwhile uses the new one or the old one.
 *
 * Context: may sleep; device_mutex is held.
 * Return: 0; as osq_device_check_filter, and then nothing has changed.
 */
int osq_filter_set(const struct osq_session *session,
		   struct osq_held_filter **held)
{
	struct osq_held_filter *one = *held;
	int err = osq_device_check_filter(session, &one->filter);

	if (err)
		return err;
	if (osq_filter_conditions(&one->filter)) {
		*held = replace(one->filter.type, one);
	} else {
		*held = replace(one->filter.type, NULL);
		osq_held_filter_put(one);
	}
	synchronize_rcu();
	return 0;
}

/*
 * Filters that nobody uses any more. A work frees them: if one holds the last
 * reference on an unmounted file system, that takes until its disk or server
 * has answered, and nobody who needs device_mutex shall wait for this.
 */
static LLIST_HEAD(retired);

static void put_retired(struct work_struct *work)
{
	struct osq_held_filter *held, *next;

	llist_for_each_entry_safe(held, next, llist_del_all(&retired), retired)
		osq_held_filter_put(held);
}

static DECLARE_WORK(put_work, put_retired);

/* osq_filter_clear - remove all filters. Context: as osq_filter_set. */
void osq_filter_clear(void)
{
	struct osq_held_filter *old[OSQ_TYPE_COUNT];
	bool any = false;
	u32 type;

	for (type = 0; type < OSQ_TYPE_COUNT; type++) {
		old[type] = replace(type, NULL);
		any |= !!old[type];
	}
	if (!any)
		return;
	synchronize_rcu();
	for (type = 0; type < OSQ_TYPE_COUNT; type++)
		if (old[type])
			llist_add(&old[type]->retired, &retired);
	schedule_work(&put_work);
}

/*
 * osq_filter_drain - wait until the removed filters are freed. Context: may
 * sleep; no file is open.
 */
void osq_filter_drain(void)
{
	flush_work(&put_work);
}

/*
 * Compare the process's own namespace and those above; each holds a reference
 * on the next.
 */
static bool in_pid_ns(const struct osq_held_filter *held,
		      struct task_struct *task)
{
	struct pid_namespace *ns;
	u32 i;

	if (!held->filter.pid_ns_count)
		return false;
	for (ns = task_active_pid_ns(task); ns; ns = ns->parent)
		for (i = 0; i < held->filter.pid_ns_count; i++)
			if (ns == held->pid_ns[i])
				return true;
	return false;
}

#ifdef CONFIG_CGROUPS
/*
 * Compare the process's own group and those above. The caller is in an RCU
 * reader: a css_set, its group and the groups above are freed a grace period
 * after the last task has left.
 *
 * Return: whether a group is listed; for a group that is too deep, the answer
 * with which the record is made.
 */
static bool in_cgroup(const struct osq_filter *filter, struct task_struct *task)
{
	struct cgroup *group;
	u32 climbed = 0;

	if (!filter->cgroup_count)
		return false;
	for (group = task_dfl_cgroup(task); group;
	     group = cgroup_parent(group)) {
		if (osq_filter_has_cgroup(filter, cgroup_id(group)))
			return true;
		if (++climbed > CGROUP_CLIMB_MAX)
			return !(filter->exclude & OSQ_FILTER_BY_CGROUP);
	}
	return false;
}
#else
/* No type takes a filter by group: see main.c. */
static bool in_cgroup(const struct osq_filter *filter, struct task_struct *task)
{
	return false;
}
#endif

/*
 * osq_cred_is_raised - does it act with root's rights without being root?
 *
 * By its effective uid, as a setuid program does, or by capabilities, as one
 * with file capabilities does. Those that it has in a user namespace of its
 * own are no rights outside. Context: any.
 */
bool osq_cred_is_raised(const struct cred *cred)
{
	return !uid_eq(cred->uid, GLOBAL_ROOT_UID) &&
	       (uid_eq(cred->euid, GLOBAL_ROOT_UID) ||
		(cred->user_ns == &init_user_ns &&
		 osq_cap_bits(cred->cap_effective)));
}

/*
 * osq_filter_takes - may a record of @type be made?
 *
 * Context: any but NMI; about->task does not go away meanwhile.
 */
bool osq_filter_takes(u32 type, const struct osq_about *about)
{
	struct osq_subject subject = {
		.path = about->path,
		.path_bytes = about->path_bytes,
	};
	const struct osq_held_filter *held;
	const struct cred *cred;
	enum osq_found found;
	bool lets = true;

	rcu_read_lock();
	held = rcu_dereference(filters[type]);
	if (held) {
		cred = __task_cred(about->task);
		subject.uid = from_kuid(&init_user_ns, cred->uid);
		subject.raised = about->raises || osq_cred_is_raised(cred);
		subject.in_pid_ns = in_pid_ns(held, about->task);
		subject.in_cgroup = in_cgroup(&held->filter, about->task);
		found = osq_held_filter_find(held, about);
		subject.in_place = found == OSQ_FOUND_LISTED;
		if (found == OSQ_FOUND_UNKNOWN)
			subject.path = NULL;
		lets = osq_filter_lets(&held->filter, &subject);
	}
	rcu_read_unlock();
	return lets;
}

/*
 * osq_filter_pass - as osq_filter_takes; a rejected record is counted as
 * filtered.
 *
 * Call this before any work is done for the record. Context: as above.
 */
bool osq_filter_pass(struct osq_ring *ring, u32 type,
		     const struct osq_about *about)
{
	bool takes = osq_filter_takes(type, about);

	if (!takes)
		osq_ring_filtered(ring, type);
	return takes;
}
