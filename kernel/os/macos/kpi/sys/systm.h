/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: xnu-11417.101.15, bsd/sys/systm.h, bsd/sys/proc.h. */
#ifndef OSQ_KPI_SYSTM_H
#define OSQ_KPI_SYSTM_H

#include <kern/locks.h>
#include <sys/types.h>

/*
 * Sleep on a channel; @mutex is let go of meanwhile and held again on
 * return. 0, EINTR or ERESTART for a signal, EWOULDBLOCK when @timeout (of
 * so long, not until then) is over; NULL or all zero is for ever.
 */
extern int msleep(void *channel, lck_mtx_t *mutex, int priority,
		  const char *what, struct timespec *timeout);
extern void wakeup(void *channel);
extern int enodev(void);

#endif
