/* SPDX-License-Identifier: GPL-2.0-only */
/* osq_module_calls.h - module_calls.c: the system calls that load modules. */
#ifndef OSQ_MODULE_CALLS_H
#define OSQ_MODULE_CALLS_H

#include <linux/compiler_types.h>

#include "osq_linux.h"

struct file;

enum osq_module_call {
	OSQ_MODULE_BY_UNKNOWN, /* a 32-bit program's, where it is not known */
	OSQ_MODULE_BY_MEMORY, /* init_module */
	OSQ_MODULE_BY_FILE, /* finit_module */
};

/* Called in the process whose call fails; preemption is off. */
typedef void osq_module_failed(enum osq_module_call kind, u32 error);

int osq_module_calls_start(osq_module_failed *failed);
void osq_module_calls_stop(void);
bool osq_module_calls_are_off(void);
u64 osq_module_calls_missed(void);
enum osq_module_call osq_module_call_kind(void);
struct file *osq_module_call_args(enum osq_module_call kind,
				  const char __user **args);

#endif
