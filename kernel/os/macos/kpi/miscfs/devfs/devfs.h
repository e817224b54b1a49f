/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: xnu-11417.101.15, bsd/miscfs/devfs/devfs.h. */
#ifndef OSQ_KPI_DEVFS_H
#define OSQ_KPI_DEVFS_H

#include <sys/types.h>

#define DEVFS_CHAR 0

extern void *devfs_make_node(dev_t device, int kind, uid_t uid, gid_t gid,
			     int permissions, const char *format, ...);
extern void devfs_remove(void *handle);

#endif
