/* SPDX-License-Identifier: GPL-2.0 */
/* osq_linux.h - what the files of this folder have of each other. */
#ifndef OSQ_LINUX_H
#define OSQ_LINUX_H

#include <linux/mm_types.h>

#include "osq_device.h"

/* The ring's memory: pages, seen twice in a row at data. */
struct osq_memory {
	struct page **pages;
	unsigned long count;
	void *data;
};

int osq_memory_init(struct osq_memory *memory, u64 size);
void osq_memory_deinit(struct osq_memory *memory);
int osq_memory_map(const struct osq_memory *memory, struct vm_area_struct *vma);

int osq_device_register(void);
void osq_device_unregister(void);

/* Wake whoever waits in SYNC or poll. Any context but NMI. */
void osq_device_wake(void);

struct task_struct;
struct tracepoint;

/* The tracepoint of this name, which no kernel exports, or NULL. */
struct tracepoint *osq_tracepoint_find(const char *name);

/* Fill in who did it: type, CPU and the ids of @task; the rest is zero. */
void osq_head_fill(struct osq_record *head, u32 len, u16 type,
		   struct task_struct *task);

int osq_publish_fork_start(struct osq_ring *ring);
void osq_publish_fork_stop(void);
int osq_publish_exit_start(struct osq_ring *ring);
void osq_publish_exit_stop(void);
int osq_publish_exec_start(struct osq_ring *ring);
void osq_publish_exec_stop(void);

#endif
