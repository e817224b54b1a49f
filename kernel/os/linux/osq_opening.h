/* SPDX-License-Identifier: GPL-2.0-only */
/* osq_opening.h - declarations that device.c and ioctl.c share. */
#ifndef OSQ_OPENING_H
#define OSQ_OPENING_H

#include "osq_linux.h"

struct osq_opening {
	struct osq_session session;
	struct osq_memory memory;
	struct osq_owner owner;
	bool meddled; /* a stranger's mmap, which cannot take device_mutex */
};

struct file;

/* device.c */
int osq_opening_lock(struct osq_opening *own);
void osq_opening_unlock(void);
int osq_opening_allocate(struct osq_opening *own, struct osq_allocate *request);

/* ioctl.c */
long osq_opening_ioctl(struct file *file, unsigned int command,
		       unsigned long address);

#endif
