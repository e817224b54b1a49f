/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Error numbers as BSD has them; from 35 on they are not Linux' ones.
 * Source: xnu-11417.101.15, bsd/sys/errno.h.
 */
#ifndef OSQ_KPI_ERRNO_H
#define OSQ_KPI_ERRNO_H

#define EPERM 1
#define ENOENT 2
#define EINTR 4
#define ENXIO 6
#define E2BIG 7
#define ENOMEM 12
#define EACCES 13
#define EFAULT 14
#define EBUSY 16
#define EEXIST 17
#define EINVAL 22
#define ENOTTY 25
#define ENOSPC 28
#define EAGAIN 35
#define EWOULDBLOCK EAGAIN
#define ENOTCONN 57
#define ESTALE 70
#define EPROTO 100
#define EOPNOTSUPP 102

#endif
