/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* native.h - what kpi.c knows of the kext, for stress.c. */
#ifndef NATIVE_H
#define NATIVE_H

#include <stddef.h>
#include <stdint.h>

/* As in kpi/sys/conf.h; only these are called. */
struct native_cdevsw {
	int (*open)(int device, int flags, int type, void *process);
	int (*close)(int device, int flags, int type, void *process);
	void *read, *write;
	int (*ioctl)(int device, unsigned long command, char *data, int flags,
		     void *process);
};

typedef int native_listener(void *credential, void *data, int action,
			    uintptr_t arg0, uintptr_t arg1, uintptr_t arg2,
			    uintptr_t arg3);

const struct native_cdevsw *native_cdevsw(void);
native_listener *native_listeners(int number);
/* Return how many objects the kext has been given and not given back. */
long native_given(void);
/* Allocate zeroed memory that is counted, and free it. */
void *native_give(size_t bytes);
void native_take(void *pointer);
/* Make the calling thread belong to this process. */
void native_be(int pid);

#endif
