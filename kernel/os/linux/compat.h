/* SPDX-License-Identifier: GPL-2.0 */
/*
 * compat.h - what differs between kernels, and nowhere else.
 *
 * OSQ_HAVE_* come from Kbuild, which asks the headers.
 */
#ifndef OSQ_COMPAT_H
#define OSQ_COMPAT_H

#include <linux/fs.h>
#include <linux/mm.h>

/* Since 6.6 the change time, since 6.7 all of them, have accessors. */
static inline struct timespec64 osq_inode_atime(const struct inode *inode)
{
#ifdef OSQ_HAVE_INODE_GET_ATIME
	return inode_get_atime(inode);
#else
	return inode->i_atime;
#endif
}

static inline struct timespec64 osq_inode_mtime(const struct inode *inode)
{
#ifdef OSQ_HAVE_INODE_GET_ATIME
	return inode_get_mtime(inode);
#else
	return inode->i_mtime;
#endif
}

static inline struct timespec64 osq_inode_ctime(const struct inode *inode)
{
#ifdef OSQ_HAVE_INODE_GET_CTIME
	return inode_get_ctime(inode);
#else
	return inode->i_ctime;
#endif
}

/* Since 6.3 vm_flags is written through accessors only. */
static inline void osq_vm_flags(struct vm_area_struct *vma, vm_flags_t set,
				vm_flags_t clear)
{
#ifdef OSQ_HAVE_VM_FLAGS_SET
	vm_flags_mod(vma, set, clear);
#else
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
#endif
}

#endif
