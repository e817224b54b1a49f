/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * "This structure may be extended, but existing fields must not move": so this
 * is the whole structure of one release, and a kernel with fewer fields leaves
 * its end unchanged. Only requested fields are written.
 * Source: xnu-11417.101.15, bsd/sys/vnode.h.
 */
#ifndef OSQ_KPI_VNODE_H
#define OSQ_KPI_VNODE_H

#include <sys/types.h>

struct vnode_attr {
	uint64_t va_supported;
	uint64_t va_active;
	int va_vaflags;
	dev_t va_rdev;
	uint64_t va_nlink;
	uint64_t va_total_size, va_total_alloc;
	uint64_t va_data_size, va_data_alloc;
	uint32_t va_iosize;
	uid_t va_uid;
	gid_t va_gid;
	mode_t va_mode;
	uint32_t va_flags;
	void *va_acl;
	struct timespec va_create_time;
	struct timespec va_access_time;
	struct timespec va_modify_time;
	struct timespec va_change_time;
	struct timespec va_backup_time;
	uint64_t va_fileid;
	uint64_t va_linkid, va_parentid;
	uint32_t va_fsid;
	/* No later field is requested. */
	uint64_t va_unused[32];
};

_Static_assert(offsetof(struct vnode_attr, va_mode) == 76, "va_mode");
_Static_assert(offsetof(struct vnode_attr, va_access_time) == 112, "atime");
_Static_assert(offsetof(struct vnode_attr, va_fileid) == 176, "va_fileid");
_Static_assert(offsetof(struct vnode_attr, va_fsid) == 200, "va_fsid");

#define VNODE_ATTR_va_uid (1LL << 7)
#define VNODE_ATTR_va_gid (1LL << 8)
#define VNODE_ATTR_va_mode (1LL << 9)
#define VNODE_ATTR_va_access_time (1LL << 13)
#define VNODE_ATTR_va_modify_time (1LL << 14)
#define VNODE_ATTR_va_change_time (1LL << 15)
#define VNODE_ATTR_va_fileid (1LL << 17)
#define VNODE_ATTR_va_fsid (1LL << 20)

#define VATTR_INIT(attr)                                      \
	do {                                                  \
		(attr)->va_supported = (attr)->va_active = 0; \
		(attr)->va_vaflags = 0;                       \
	} while (0)
#define VATTR_WANTED(attr, field) ((attr)->va_active |= VNODE_ATTR_##field)
#define VATTR_IS_SUPPORTED(attr, field) \
	((attr)->va_supported & VNODE_ATTR_##field)

/* NULL: as the current thread's. Each must be released. May sleep. */
extern vfs_context_t vfs_context_create(vfs_context_t context);
extern int vfs_context_rele(vfs_context_t context);
/* May sleep, for long if the file system is on a server. */
extern int vnode_getattr(vnode_t vnode, struct vnode_attr *attr,
			 vfs_context_t context);

#endif
