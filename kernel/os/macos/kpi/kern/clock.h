/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: xnu-11417.101.15, osfmk/kern/clock.h. */
#ifndef OSQ_KPI_CLOCK_H
#define OSQ_KPI_CLOCK_H

#include <stdint.h>

/* Ticks since boot, without those that the machine slept. */
extern void clock_get_uptime(uint64_t *ticks);
extern void absolutetime_to_nanoseconds(uint64_t ticks, uint64_t *ns);

#endif
