// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish_cred.c - a record for every change of a process's ids, capabilities,
 * groups, securebits or user namespace, from a probe on commit_creds.
 *
 * All of setuid() and its kin, capset, prctl, setgroups, setns, unshare and the
 * exec of a program call this function, in the task itself, with old and new
 * credentials at hand; and it cannot fail. So a probe at its beginning sees
 * everything, and needs no instances, which a probe of a return may lack.
 * commit_creds is also called when nothing of this has changed, for example at
 * each exec: then there is no record, and no attempt.
 */
#include <linux/audit.h>
#include <linux/cred.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/user_namespace.h>

#include "compat.h"
#include "osq_linux.h"
#include "osq_probes.h"

static struct osq_ring *target;
static u64 chosen; /* OSQ_CRED_OPT; 0: all */

static bool same_groups(const struct group_info *a, const struct group_info *b)
{
	return a == b ||
	       (a->ngroups == b->ngroups &&
		!memcmp(a->gid, b->gid, a->ngroups * sizeof(a->gid[0])));
}

static void put_side(struct osq_cred_side *side, const struct cred *cred)
{
	struct user_namespace *ns = &init_user_ns;

	side->uid = from_kuid(ns, cred->uid);
	side->euid = from_kuid(ns, cred->euid);
	side->suid = from_kuid(ns, cred->suid);
	side->fsuid = from_kuid(ns, cred->fsuid);
	side->gid = from_kgid(ns, cred->gid);
	side->egid = from_kgid(ns, cred->egid);
	side->sgid = from_kgid(ns, cred->sgid);
	side->fsgid = from_kgid(ns, cred->fsgid);
	side->permitted = osq_cap_bits(cred->cap_permitted);
	side->effective = osq_cap_bits(cred->cap_effective);
	side->inheritable = osq_cap_bits(cred->cap_inheritable);
	side->bounding = osq_cap_bits(cred->cap_bset);
	side->ambient = osq_cap_bits(cred->cap_ambient);
	side->securebits = cred->securebits;
	side->user_ns = cred->user_ns->ns.inum;
	side->groups = cred->group_info->ngroups;
}

/* Are [first, last] of both sides equal? Members are in the order of osq.h. */
#define SAME(cred, first, last)                            \
	(!memcmp(&(cred)->old.first, &(cred)->now.first,   \
		 offsetofend(struct osq_cred_side, last) - \
			 offsetof(struct osq_cred_side, first)))

static u32 changed_in(const struct osq_cred *cred, bool groups_are_same)
{
	return (SAME(cred, uid, fsuid) ? 0 : OSQ_CRED_UIDS) |
	       (SAME(cred, gid, fsgid) ? 0 : OSQ_CRED_GIDS) |
	       (SAME(cred, permitted, ambient) ? 0 : OSQ_CRED_CAPS) |
	       (SAME(cred, securebits, securebits) ? 0 : OSQ_CRED_SECUREBITS) |
	       (SAME(cred, user_ns, user_ns) ? 0 : OSQ_CRED_USER_NS) |
	       (groups_are_same ? 0 : OSQ_CRED_GROUPS);
}

static int on_commit(struct kprobe *probe, struct pt_regs *regs)
{
	const struct cred *now = (void *)osq_argument(regs, 0);
	const struct cred *old = current_real_cred();
	u32 action = OSQ_CRED_ACTION;
	u64 asked = READ_ONCE(chosen);
	struct osq_about about = { .task = current };
	struct osq_cred record;
	enum osq_rank rank;

	if (asked && !(asked & OSQ_CRED_OPT(action)))
		return 0;
	osq_head_fill(&record.head, sizeof(record), OSQ_TYPE_CRED,
		      &record.actor);
	put_side(&record.old, old);
	put_side(&record.now, now);
	record.changed = changed_in(&record, same_groups(old->group_info,
							 now->group_info));
	about.raises = (!record.now.euid && record.old.euid) ||
		       osq_cred_is_raised(now);
	if (!record.changed || !osq_filter_pass(target, OSQ_TYPE_CRED, &about))
		return 0;
	record.action = action;
	record.auid = from_kuid(&init_user_ns, audit_get_loginuid(current));
	record.session = audit_get_sessionid(current);
	/* Any user can make changes that raise nothing, in any number. */
	rank = osq_rank_of_caller();
	if (about.raises)
		rank = max(rank, OSQ_RANK_CRED);
	osq_publish(target, &record.head, rank);
	return 0;
}

static struct osq_probe probes[] = {
	{ .symbol = "commit_creds", .handler = on_commit },
};

/* osq_publish_cred_probe - see struct osq_publisher. */
bool osq_publish_cred_probe(void)
{
	return osq_probes_exist(probes, ARRAY_SIZE(probes));
}

/* osq_publish_cred_start - see struct osq_publisher and osq_probes_start. */
int osq_publish_cred_start(struct osq_ring *ring, u64 options)
{
	target = ring;
	osq_publish_cred_configure(options);
	return osq_probes_start(probes, ARRAY_SIZE(probes));
}

/* osq_publish_cred_configure - see struct osq_publisher. */
void osq_publish_cred_configure(u64 options)
{
	WRITE_ONCE(chosen, options);
}

/* osq_publish_cred_stop - see struct osq_publisher. */
void osq_publish_cred_stop(void)
{
	osq_probes_stop(probes, ARRAY_SIZE(probes));
}

/* osq_publish_cred_missed - see struct osq_publisher. */
u64 osq_publish_cred_missed(void)
{
	return osq_probes_missed(probes, ARRAY_SIZE(probes));
}
