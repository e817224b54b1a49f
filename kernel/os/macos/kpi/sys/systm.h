/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: xnu-11417.101.15, bsd/sys/systm.h, bsd/sys/proc.h. */
#ifndef OSQ_KPI_SYSTM_H
#define OSQ_KPI_SYSTM_H

#include <kern/locks.h>
#include <sys/types.h>

/*
 * Sleep on a channel; @mutex is released meanwhile and locked again on return.
 * Returns 0, EINTR or ERESTART for a signal, EWOULDBLOCK after @timeout, which
 * is a duration; NULL or all zero means no limit.
 */
extern int msleep(void *channel, lck_mtx_t *mutex, int priority,
		  const char *what, struct timespec *timeout);
extern void wakeup(void *channel);
extern int enodev(void);

#endif
