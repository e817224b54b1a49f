/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: xnu-11417.101.15, bsd/sys/proc.h. */
#ifndef OSQ_KPI_PROC_H
#define OSQ_KPI_PROC_H

#include <sys/types.h>

extern int proc_selfpid(void);
extern int proc_selfppid(void);
/* Has a reference, which delays its exit until proc_rele. */
extern proc_t proc_find(int pid);
extern int proc_rele(proc_t process);

#endif
