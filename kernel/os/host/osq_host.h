/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* osq_host.h - memory for the core in a process, and a clock to stop. */
#ifndef OSQ_HOST_H
#define OSQ_HOST_H

#include <stddef.h>

void *osq_host_map(size_t size);
void *osq_host_map_shared(size_t size, int *memory);
void osq_host_unmap(void *data, size_t size);

/* Stop the clock at @ns; 0 starts it again. */
void osq_host_stop_clock(unsigned long long ns);

/* Return the most words counted under one lock since the last call. */
unsigned long long osq_host_most_steps(void);

#endif
