/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: xnu-11417.101.15, bsd/sys/fcntl.h. */
#ifndef OSQ_KPI_FCNTL_H
#define OSQ_KPI_FCNTL_H

/* In the flags of d_ioctl: the file was opened with O_NONBLOCK. */
#define FNONBLOCK 0x00000004

#endif
