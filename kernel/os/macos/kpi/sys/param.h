/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: xnu-11417.101.15, bsd/sys/param.h, bsd/sys/syslimits.h. */
#ifndef OSQ_KPI_PARAM_H
#define OSQ_KPI_PARAM_H

#define MAXPATHLEN 1024
#define PZERO 22 /* a sleep of less priority can be ended by a signal, */
#define PCATCH 0x100 /* when this is or'ed in */

#endif
