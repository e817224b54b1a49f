/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: xnu-11417.101.15, iokit/IOKit/IOLib.h. */
#ifndef OSQ_KPI_IOLIB_H
#define OSQ_KPI_IOLIB_H

#include <mach/mach_types.h>

/* Both may sleep; IOFree needs the size that was allocated. */
extern void *IOMalloc(vm_size_t bytes);
extern void IOFree(void *address, vm_size_t bytes);
extern void IOSleep(unsigned int milliseconds);

#endif
