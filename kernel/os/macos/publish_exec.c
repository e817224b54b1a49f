// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish_exec.c - a record for every exec, from a listener of kauth's scope
 * of file operations.
 *
 * It is called after the new image is in place, by the thread that called
 * execve or posix_spawn. With posix_spawn that is the parent's thread, and so
 * are the ids. A listener gets no arguments, environment and working
 * directory; the record's flags say so.
 */
#include <sys/kauth.h>
#include <sys/vnode.h>

#include "osq_macos.h"

/* kauth's paths come from vn_getpath, which writes up to MAXPATHLEN bytes. */
#define PATH_MAX_BYTES 1024u
#define NS_PER_S 1000000000ll

_Static_assert(sizeof(struct osq_exec) + PATH_MAX_BYTES <= OSQ_RECORD_MAX_BYTES,
	       "an exec record fits");

static struct osq_gate gate;
static kauth_listener_t listener;

static int64_t ns_of(const struct timespec *time)
{
	return time->tv_sec * NS_PER_S + time->tv_nsec;
}

static void put_ids(struct osq_exec *exec, kauth_cred_t cred)
{
	exec->uid = kauth_cred_getruid(cred);
	exec->euid = kauth_cred_getuid(cred);
	exec->suid = kauth_cred_getsvuid(cred);
	exec->fsuid = exec->euid;
	exec->gid = kauth_cred_getrgid(cred);
	exec->egid = kauth_cred_getgid(cred);
	exec->sgid = kauth_cred_getsvgid(cred);
	exec->fsgid = exec->egid;
	exec->auid = UINT32_MAX;
	exec->session = UINT32_MAX;
}

static void put_attributes(struct osq_exec *exec, const struct vnode_attr *attr)
{
	exec->mode = attr->va_mode;
	exec->owner_uid = attr->va_uid;
	exec->owner_gid = attr->va_gid;
	exec->dev = (u64)major(attr->va_fsid) << 32 | (u64)minor(attr->va_fsid);
	exec->ino = attr->va_fileid;
	exec->atime_ns = ns_of(&attr->va_access_time);
	exec->mtime_ns = ns_of(&attr->va_modify_time);
	exec->ctime_ns = ns_of(&attr->va_change_time);
}

/* A file system that does not support them leaves these fields 0. */
static void put_file(struct osq_exec *exec, vnode_t vnode)
{
	vfs_context_t context = vfs_context_create(NULL);
	struct vnode_attr attr;

	if (!context)
		return;
	memset(&attr, 0, sizeof(attr));
	VATTR_INIT(&attr);
	VATTR_WANTED(&attr, va_mode);
	VATTR_WANTED(&attr, va_uid);
	VATTR_WANTED(&attr, va_gid);
	VATTR_WANTED(&attr, va_fsid);
	VATTR_WANTED(&attr, va_fileid);
	VATTR_WANTED(&attr, va_access_time);
	VATTR_WANTED(&attr, va_modify_time);
	VATTR_WANTED(&attr, va_change_time);
	if (!vnode_getattr(vnode, &attr, context))
		put_attributes(exec, &attr);
	vfs_context_rele(context);
}

static void put_path(struct osq_exec *exec, const char *path)
{
	u32 len = path ? (u32)strnlen(path, PATH_MAX_BYTES) : 0;

	if (!len)
		exec->head.flags |= OSQ_FLAG_NO_PATH;
	memcpy(osq_record_append(&exec->head, &exec->path, len), path, len);
	osq_record_append(&exec->head, &exec->filename, 0);
	osq_record_append(&exec->head, &exec->argv, 0);
	osq_record_append(&exec->head, &exec->env, 0);
	osq_record_append(&exec->head, &exec->cwd, 0);
	osq_record_append(&exec->head, &exec->cgroup, 0);
}

static void encode(struct osq_exec *exec, kauth_cred_t cred, vnode_t vnode,
		   const char *path)
{
	osq_head_fill(&exec->head, sizeof(*exec), OSQ_TYPE_EXEC);
	exec->head.flags = OSQ_FLAG_PARTIAL_ARGV | OSQ_FLAG_NO_CWD |
			   OSQ_FLAG_NO_MNT_NS;
	put_ids(exec, cred);
	put_file(exec, vnode);
	put_path(exec, path);
}

static void publish(struct osq_ring *ring, kauth_cred_t cred, vnode_t vnode,
		    const char *path)
{
	struct osq_scratch *scratch = osq_scratch_get();

	if (!scratch) {
		osq_publish_nothing(ring, OSQ_TYPE_EXEC, OSQ_DROP_NESTED);
		return;
	}
	encode(&scratch->exec, cred, vnode, path);
	osq_publish(ring, &scratch->head);
	osq_scratch_put(scratch);
}

/* Context: any thread; may sleep. */
static int on_fileop(kauth_cred_t cred, void *data, kauth_action_t action,
		     uintptr_t arg0, uintptr_t arg1, uintptr_t arg2,
		     uintptr_t arg3)
{
	struct osq_ring *ring = osq_gate_enter(&gate);

	(void)data;
	(void)arg2;
	(void)arg3;
	if (ring && action == KAUTH_FILEOP_EXEC)
		publish(ring, cred, (vnode_t)arg0, (const char *)arg1);
	osq_gate_leave(&gate);
	return KAUTH_RESULT_DEFER;
}

/* osq_publish_exec_init - begin without a listener. */
void osq_publish_exec_init(void)
{
	memset(&gate, 0, sizeof(gate));
	listener = NULL;
}

/*
 * osq_publish_exec_start - see struct osq_publisher.
 *
 * Return: 0 or -ENOMEM, also when kauth's scope has all its listeners.
 */
int osq_publish_exec_start(struct osq_ring *ring, u64 options)
{
	int err = osq_scratch_open();

	(void)options;
	if (err)
		return err;
	osq_gate_open(&gate, ring);
	listener = kauth_listen_scope(KAUTH_SCOPE_FILEOP, on_fileop, NULL);
	if (!listener) {
		osq_gate_close(&gate);
		osq_scratch_close();
		return -ENOMEM;
	}
	return 0;
}

/*
 * osq_publish_exec_stop - see struct osq_publisher.
 *
 * A callback may still run after this; it finds the gate closed.
 */
void osq_publish_exec_stop(void)
{
	kauth_unlisten_scope(listener);
	listener = NULL;
	osq_gate_close(&gate);
	osq_scratch_close();
}

bool osq_publish_exec_may_unload(void)
{
	return osq_gate_may_unload(&gate);
}
