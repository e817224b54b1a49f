/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* osq_macos.h - declarations that the files of this folder share. */
#ifndef OSQ_MACOS_H
#define OSQ_MACOS_H

#include <kern/task.h>
#include <sys/kauth.h>
#include <sys/types.h>

#include "osq_device.h"

#define OSQ_NAME "osq"
#define OSQ_NODE "osquery"

/* locks.c - kernel/README.md lists what each lock protects. */
extern lck_mtx_t *osq_device_mutex;
extern lck_mtx_t *osq_readers_mutex;
extern lck_mtx_t *osq_watch_mutex;

int osq_locks_init(void);
void osq_locks_deinit(void);

/* memory.c - the ring's memory: pages that are mapped twice in a row. */
struct osq_memory {
	struct IOBufferMemoryDescriptor *pages;
	struct IOMemoryDescriptor *twice;
	struct IOMemoryMap *kernel_map;
	struct IOMemoryMap *user_map; /* NULL until osq_memory_map */
	void *data;
};

int osq_memory_init(struct osq_memory *memory, u64 size);
void osq_memory_deinit(struct osq_memory *memory);
void osq_memory_unmap(struct osq_memory *memory);
int osq_memory_map(struct osq_memory *memory, struct osq_map *map);

/* device.c */
int osq_device_register(void);
int osq_device_unregister(void);

/* owner.c - the process that opened the device, and whether it has died. */
struct osq_owner {
	task_t task; /* a reference; not reused while held */
	int pid;
};

void osq_owner_init(struct osq_owner *owner);
void osq_owner_deinit(struct osq_owner *owner);
const void *osq_owner_caller(const struct osq_owner *owner);
bool osq_owner_is_dead(const struct osq_owner *owner);

/* readers.c */
void osq_readers_init(void);
void osq_readers_after_commit(struct osq_ring *ring);
bool osq_readers_is_time(struct osq_ring *ring);
int osq_readers_wait(struct osq_session *session);
void osq_readers_wake(void);
u64 osq_readers_wakeups(void);

/* scratch.c - a buffer to encode one record in. */
struct osq_scratch {
	union {
		struct osq_record head;
		struct osq_exec exec;
		struct osq_file file;
		u8 bytes[OSQ_RECORD_MAX_BYTES];
	};
};

void osq_scratch_init(void);
int osq_scratch_open(void);
void osq_scratch_close(void);
struct osq_scratch *osq_scratch_get(void);
void osq_scratch_put(struct osq_scratch *scratch);

/* gate.c - callbacks for which the system does not wait. */
struct osq_gate {
	u32 inside; /* callbacks between enter and leave; atomic */
	struct osq_ring *target; /* NULL: closed; atomic */
};

void osq_gate_init(void);
struct osq_ring *osq_gate_enter(struct osq_gate *gate);
void osq_gate_leave(struct osq_gate *gate);
void osq_gate_open(struct osq_gate *gate, struct osq_ring *ring);
void osq_gate_close(struct osq_gate *gate);
bool osq_gate_may_unload(const struct osq_gate *gate);

/* task.c */

/* Fill in the type and the caller's ids; the rest is zero. */
void osq_head_fill(struct osq_record *head, u32 len, u16 type);

/* Put a finished record, and wake the reader if it is time. */
void osq_publish(struct osq_ring *ring, struct osq_record *record);

/* Count a record that could not be encoded, and wake the reader. */
void osq_publish_nothing(struct osq_ring *ring, u16 type, enum osq_drop reason);

/* Append @len bytes to a record; the caller has checked the room. */
void *osq_record_append(struct osq_record *record, struct osq_span *span,
			u32 len);

/* publish_*.c - see struct osq_publisher. */
void osq_publish_exec_init(void);
int osq_publish_exec_start(struct osq_ring *ring, u64 options);
void osq_publish_exec_stop(void);
bool osq_publish_exec_may_unload(void);
void osq_publish_socket_init(void);
int osq_publish_socket_start(struct osq_ring *ring, u64 options);
void osq_publish_socket_configure(u64 options);
void osq_publish_socket_stop(void);
bool osq_publish_socket_may_unload(void);
void osq_publish_file_init(void);
int osq_publish_file_start(struct osq_ring *ring, u64 options);
void osq_publish_file_configure(u64 options);
void osq_publish_file_stop(void);
bool osq_publish_file_may_unload(void);
int osq_watch_apply(const struct osq_watch *watch);

#endif
