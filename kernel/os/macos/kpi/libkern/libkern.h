/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: xnu-11417.101.15, libkern/libkern/libkern.h, osfmk/libsa/string.h. */
#ifndef OSQ_KPI_LIBKERN_H
#define OSQ_KPI_LIBKERN_H

#include <stddef.h>
#include <stdint.h>

extern int printf(const char *format, ...);
extern void *memcpy(void *to, const void *from, size_t bytes);
extern void *memset(void *to, int byte, size_t bytes);
extern size_t strnlen(const char *text, size_t most);

#endif
