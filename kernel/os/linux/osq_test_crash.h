/* SPDX-License-Identifier: GPL-2.0-only */
/* osq_test_crash.h - the ways to break the kernel, by file. Test build only. */
#ifndef OSQ_TEST_CRASH_H
#define OSQ_TEST_CRASH_H

#include <linux/types.h>

/* test_crash.c: any of them. */
long osq_test_crash(u32 kind);

/* test_crash_hang.c: tasks and processors that make no progress. */
bool osq_test_is_hang(u32 kind);
long osq_test_hang(u32 kind);

/* test_crash_memory.c: wrong uses of memory. -EINVAL for an unknown kind. */
long osq_test_spoil(u32 kind);

#endif
