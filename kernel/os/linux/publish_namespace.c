// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish_namespace.c - a record for each change of what a process sees of the
 * machine: mounts, its root, and the namespaces that it is in.
 *
 * mount, move_mount, umount, pivot_root and chroot ask a security module before
 * they act, in the caller, when all paths are looked up. setns and unshare ask
 * none; they end in switch_task_namespaces, which cannot fail. All of these are
 * called in no lock.
 */
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/mount.h>
#include <linux/nsproxy.h>
#include <linux/path.h>
#include <linux/sched.h>

#include "compat.h"
#include "osq_encode.h"
#include "osq_probes.h"

/* A source may be of any length; file systems' names are short. */
#define SOURCE_MAX_BYTES 256u
#define FS_MAX_BYTES 64u

static_assert(sizeof(struct osq_namespace) + SOURCE_MAX_BYTES + FS_MAX_BYTES <=
	      OSQ_PROBE_RECORD_MAX_BYTES);

static struct osq_ring *target;
static u64 chosen; /* OSQ_NAMESPACE_OPT; 0: all */

/* What a record tells of. */
struct facts {
	u32 action;
	u64 mount_flags;
	const struct path *path;
	const char *source;
	const char *fs;
	const struct super_block *sb;
	const struct nsproxy *now; /* NULL: the caller's remain */
};

static u32 changed_between(const struct nsproxy *old, const struct nsproxy *now)
{
	return (old->mnt_ns == now->mnt_ns ? 0 : OSQ_NS_MNT) |
	       (old->pid_ns_for_children == now->pid_ns_for_children
			? 0
			: OSQ_NS_PID) |
	       (old->net_ns == now->net_ns ? 0 : OSQ_NS_NET) |
	       (old->uts_ns == now->uts_ns ? 0 : OSQ_NS_UTS) |
	       (old->ipc_ns == now->ipc_ns ? 0 : OSQ_NS_IPC) |
	       (old->cgroup_ns == now->cgroup_ns ? 0 : OSQ_NS_CGROUP) |
	       (old->time_ns_for_children == now->time_ns_for_children
			? 0
			: OSQ_NS_TIME);
}

static void put_sb(struct osq_namespace *record, const struct super_block *sb)
{
	record->dev = (u64)MAJOR(sb->s_dev) << 32 | MINOR(sb->s_dev);
}

static void encode(struct osq_record *head, char *buffer, const void *data)
{
	struct osq_namespace *record = (struct osq_namespace *)head;
	const struct facts *facts = data;
	const struct nsproxy *old = current->nsproxy;

	osq_head_fill(head, sizeof(*record), OSQ_TYPE_NAMESPACE,
		      &record->actor);
	osq_caller_fill(&record->caller);
	record->action = facts->action;
	record->mount_flags = facts->mount_flags;
	osq_namespaces_after(record, facts->now ?: old);
	if (facts->now)
		record->changed = changed_between(old, facts->now);
	if (facts->sb)
		put_sb(record, facts->sb);
	osq_append_text(head, &record->source, facts->source, SOURCE_MAX_BYTES);
	osq_append_text(head, &record->fs, facts->fs, FS_MAX_BYTES);
	osq_append(head, &record->path, 0);
	if (facts->path &&
	    !osq_append_path(head, &record->path, facts->path, buffer))
		head->flags |= OSQ_FLAG_NO_PATH;
}

static void publish(const struct facts *facts)
{
	u64 asked = READ_ONCE(chosen);

	if ((asked && !(asked & OSQ_NAMESPACE_OPT(facts->action))) ||
	    !osq_filter_pass_task(target, OSQ_TYPE_NAMESPACE, current))
		return;
	osq_encode_in_probe(target, OSQ_TYPE_NAMESPACE, encode, facts,
			    osq_rank_of_caller());
}

/* Of a file system that exists, its own names are told. */
static void publish_of(u32 action, const struct path *path,
		       const struct super_block *sb, u64 mount_flags)
{
	publish(&(struct facts){ .action = action,
				 .mount_flags = mount_flags,
				 .path = path,
				 .source = sb->s_id,
				 .fs = sb->s_type->name,
				 .sb = sb });
}

static int on_mount(struct kprobe *probe, struct pt_regs *regs)
{
	publish(&(struct facts){ .action = OSQ_NAMESPACE_MOUNT,
				 .source = (void *)osq_argument(regs, 0),
				 .path = (void *)osq_argument(regs, 1),
				 .fs = (void *)osq_argument(regs, 2),
				 .mount_flags = osq_argument(regs, 3) });
	return 0;
}

static int on_move(struct kprobe *probe, struct pt_regs *regs)
{
	const struct path *from = (void *)osq_argument(regs, 0);
	const struct path *to = (void *)osq_argument(regs, 1);

	publish_of(OSQ_NAMESPACE_MOVE, to, from->dentry->d_sb, 0);
	return 0;
}

static int on_umount(struct kprobe *probe, struct pt_regs *regs)
{
	struct vfsmount *mount = (void *)osq_argument(regs, 0);
	const struct path path = { .mnt = mount, .dentry = mount->mnt_root };

	publish_of(OSQ_NAMESPACE_UMOUNT, &path, mount->mnt_sb,
		   (u32)osq_argument(regs, 1));
	return 0;
}

static int on_pivot(struct kprobe *probe, struct pt_regs *regs)
{
	const struct path *root = (void *)osq_argument(regs, 1);

	publish_of(OSQ_NAMESPACE_PIVOT, root, root->dentry->d_sb, 0);
	return 0;
}

static int on_chroot(struct kprobe *probe, struct pt_regs *regs)
{
	const struct path *root = (void *)osq_argument(regs, 0);

	publish_of(OSQ_NAMESPACE_CHROOT, root, root->dentry->d_sb, 0);
	return 0;
}

/* Older kernels (6.12, not 7.2) call it for a thread that ends, too, with none. */
static int on_switch(struct kprobe *probe, struct pt_regs *regs)
{
	const struct task_struct *task = (void *)osq_argument(regs, 0);
	const struct nsproxy *now = (void *)osq_argument(regs, 1);

	if (now && task == current && task->nsproxy)
		publish(&(struct facts){ .action = OSQ_NAMESPACE_SWITCH,
					 .now = now });
	return 0;
}

static struct osq_probe probes[] = {
	{ .symbol = "security_sb_mount", .handler = on_mount },
	{ .symbol = "security_move_mount", .handler = on_move },
	{ .symbol = "security_sb_umount", .handler = on_umount },
	{ .symbol = "security_sb_pivotroot", .handler = on_pivot },
	{ .symbol = "security_path_chroot", .handler = on_chroot },
	{ .symbol = "switch_task_namespaces", .handler = on_switch },
};

/* osq_publish_namespace_probe - see struct osq_publisher. */
bool osq_publish_namespace_probe(void)
{
	return IS_ENABLED(CONFIG_SECURITY_PATH) &&
	       osq_probes_exist(probes, ARRAY_SIZE(probes));
}

/*
 * osq_publish_namespace_start - see struct osq_publisher.
 *
 * Return: 0; -ENOMEM; -EOPNOTSUPP where there are no such hooks; as
 * osq_probes_start.
 */
int osq_publish_namespace_start(struct osq_ring *ring, u64 options)
{
	int err;

	if (!osq_publish_namespace_probe())
		return -EOPNOTSUPP;
	err = osq_scratch_open();
	if (err)
		return err;
	target = ring;
	osq_publish_namespace_configure(options);
	err = osq_probes_start(probes, ARRAY_SIZE(probes));
	if (err)
		osq_scratch_close();
	return err;
}

/* osq_publish_namespace_configure - see struct osq_publisher. */
void osq_publish_namespace_configure(u64 options)
{
	WRITE_ONCE(chosen, options);
}

/* osq_publish_namespace_stop - see struct osq_publisher. */
void osq_publish_namespace_stop(void)
{
	osq_probes_stop(probes, ARRAY_SIZE(probes));
	osq_scratch_close();
}

/* osq_publish_namespace_missed - see struct osq_publisher. */
u64 osq_publish_namespace_missed(void)
{
	return osq_probes_missed(probes, ARRAY_SIZE(probes));
}
