/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: xnu-11417.101.15, bsd/sys/types.h, bsd/sys/kernel_types.h. */
#ifndef OSQ_KPI_TYPES_H
#define OSQ_KPI_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef int32_t dev_t;
typedef uint32_t uid_t;
typedef uint32_t gid_t;
typedef uint16_t mode_t;
typedef int32_t pid_t;
typedef char *caddr_t;
typedef unsigned long u_long;
typedef int errno_t;

typedef struct proc *proc_t;
typedef struct vnode *vnode_t;
typedef struct vfs_context *vfs_context_t;
typedef struct ucred *kauth_cred_t;
typedef struct socket *socket_t;
typedef struct __mbuf *mbuf_t;
typedef struct sockopt *sockopt_t;

struct timespec {
	long tv_sec;
	long tv_nsec;
};

#define major(device) ((int32_t)(((uint32_t)(device) >> 24) & 0xff))
#define minor(device) ((int32_t)((device) & 0xffffff))
#define makedev(major, minor) ((dev_t)(((major) << 24) | (minor)))

#endif
