/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: xnu-11417.101.15, osfmk/kern/task.h. */
#ifndef OSQ_KPI_TASK_H
#define OSQ_KPI_TASK_H

#include <mach/mach_types.h>

extern task_t current_task(void);
extern void task_reference(task_t task);
extern void task_deallocate(task_t task);

#endif
