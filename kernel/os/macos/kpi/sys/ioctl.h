/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A command is direction, size (13 bits), group and number.
 * Source: xnu-11417.101.15, bsd/sys/ioccom.h.
 */
#ifndef OSQ_KPI_IOCTL_H
#define OSQ_KPI_IOCTL_H

#include <stdint.h>

#define IOCPARM_MASK 0x1fff
#define IOC_OUT ((uint32_t)0x40000000)
#define IOC_IN ((uint32_t)0x80000000)
#define _IOC(direction, group, number, bytes)                       \
	((direction) | (((uint32_t)(bytes) & IOCPARM_MASK) << 16) | \
	 ((uint32_t)(group) << 8) | (uint32_t)(number))
#define _IOR(group, number, type) _IOC(IOC_OUT, group, number, sizeof(type))
#define _IOW(group, number, type) _IOC(IOC_IN, group, number, sizeof(type))
#define _IOWR(group, number, type) \
	_IOC(IOC_IN | IOC_OUT, group, number, sizeof(type))

#endif
