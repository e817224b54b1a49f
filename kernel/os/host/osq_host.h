/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* osq_host.h - a ring's memory in a process: mapped twice in a row. */
#ifndef OSQ_HOST_H
#define OSQ_HOST_H

#include <stddef.h>

void *osq_host_map(size_t size);
void osq_host_unmap(void *data, size_t size);

#endif
