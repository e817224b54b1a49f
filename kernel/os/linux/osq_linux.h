/* SPDX-License-Identifier: GPL-2.0-only */
/* osq_linux.h - declarations that the files of this folder share. */
#ifndef OSQ_LINUX_H
#define OSQ_LINUX_H

#include <linux/mm_types.h>
#include <linux/uidgid.h>
#include <linux/wait.h>

#include "osq_device.h"

#ifdef OSQ_TEST_BUILD
#define OSQ_NAME "osq_test"
#define OSQ_NODE "osquery_test"
#else
#define OSQ_NAME "osq"
#define OSQ_NODE "osquery"
#endif

struct attribute_group;
struct cpu_scratch;
struct cred;
struct dentry;
struct nsproxy;
struct task_struct;
struct tracepoint;
struct work_struct;

/* memory.c - the ring's memory: pages, seen twice in a row at data. */
struct osq_memory {
	struct page **pages;
	unsigned long count;
	void *data;
};

int osq_memory_init(struct osq_memory *memory, u64 size);
void osq_memory_deinit(struct osq_memory *memory);
int osq_memory_map(const struct osq_memory *memory, struct vm_area_struct *vma);

/* device.c */
int osq_device_register(void);
void osq_device_unregister(void);

/* Fill in the counters of the attached session, if there is one. May sleep. */
void osq_device_peek(struct osq_stats *stats);

/* stats.c - ended by NULL. */
extern const struct attribute_group *osq_stats_groups[];

/* owner.c - the process that opened the device, and when it has died. */
struct osq_owner {
	struct pid *pid; /* of its thread group; not reused while held */
	struct mm_struct *mm; /* only compared */
	struct wait_queue_entry death;
};

void osq_owner_init(struct osq_owner *owner, struct work_struct *work);
void osq_owner_deinit(struct osq_owner *owner);
const void *osq_owner_caller(const struct osq_owner *owner);
bool osq_owner_is_dead(const struct osq_owner *owner);

/* readers.c */
extern wait_queue_head_t osq_readers;

void osq_readers_after_commit(struct osq_ring *ring);
bool osq_readers_is_time(struct osq_ring *ring);
void osq_readers_wake(void);
void osq_readers_renew(void);
void osq_readers_sync(void);
u64 osq_readers_wakeups(void);

/* scratch.c - a buffer to encode one record in. */

#define OSQ_SCRATCH_LEVELS (IS_ENABLED(CONFIG_PREEMPT_RT) ? 1 : 2)

#define OSQ_PATH_BUFFER_BYTES 4096u

struct osq_scratch {
	union {
		struct osq_record head;
		struct osq_exec exec;
		struct osq_file file;
		u8 bytes[OSQ_RECORD_MAX_BYTES];
	};
	/* d_path writes its result at the end of such a buffer. */
	char path[OSQ_PATH_BUFFER_BYTES];
	struct cpu_scratch *own; /* what osq_scratch_put gives back, and there */
	unsigned int bit;
};

int osq_scratch_open(void);
void osq_scratch_close(void);
struct osq_scratch *osq_scratch_get(void);
void osq_scratch_put(struct osq_scratch *scratch);

/* task.c */

/* The tracepoint of this name, which no kernel exports, or NULL. */
struct tracepoint *osq_tracepoint_find(const char *name);

/*
 * Fill in the record's head and @actor: type, CPU, and the ids and programs of
 * the calling process and its parent; the rest is zero.
 */
void osq_head_fill(struct osq_record *head, u32 len, u16 type,
		   struct osq_actor *actor);

/*
 * Return how much of a ring the records of a process with these ids may fill.
 */
enum osq_rank osq_rank_of(kuid_t uid, kuid_t euid);
enum osq_rank osq_rank_of_caller(void);

/*
 * Put a finished record, and wake the reader if it is time. Context: any but
 * NMI.
 */
void osq_publish(struct osq_ring *ring, struct osq_record *record,
		 enum osq_rank rank);

/* Count a record that could not be encoded, and wake the reader. As above. */
void osq_publish_nothing(struct osq_ring *ring, u16 type, enum osq_drop reason);

/* programs.c */
int osq_programs_open(void);
void osq_programs_close(void);
void osq_programs_fill(struct osq_actor *actor, struct task_struct *parent);
void osq_program_of_other(struct task_struct *task, u64 *dev, u64 *ino);
void osq_program_of_locked(const struct task_struct *task, u64 *dev, u64 *ino);

/* scripts.c */
struct linux_binprm;
int osq_scripts_open(void);
void osq_scripts_close(void);
void osq_script_fill(struct osq_exec *exec, const struct linux_binprm *bprm,
		     pid_t old_tid);

/* namespaces.c */
void osq_namespaces_probe(void);
bool osq_namespaces_has_mnt(void);
void osq_namespaces_fill(struct osq_exec *exec, struct task_struct *task);
void osq_namespaces_after(struct osq_namespace *record,
			  const struct nsproxy *all);
#define OSQ_CGROUP_MAX_BYTES 1024u
u32 osq_cgroup_path(struct task_struct *task, char *to);

/* hook_check.c */
int osq_hook_check_start(void);
void osq_hook_check_stop(void);
bool osq_hook_check_is_off(void);

/* held_filter.c */
struct osq_held_filter;
struct osq_held_filter *osq_filter_prepare(void __user *user);
void osq_held_filter_put(struct osq_held_filter *held);

/* filter.c */

/* The facts about a process and file that a filter compares. */
struct osq_about {
	struct task_struct *task;
	bool raises; /* to rights of root, by what the record tells of */
	/*
	 * For the file of an exec, once it is known; otherwise paths are not
	 * compared yet.
	 */
	const char *path; /* as the process sees it; NULL when not known */
	u32 path_bytes;
	const struct dentry *dentry;
	char *buffer; /* OSQ_PATH_BUFFER_BYTES, to build a path in */
};

bool osq_cred_is_raised(const struct cred *cred);
int osq_filter_set(const struct osq_session *session,
		   struct osq_held_filter **held);
void osq_filter_clear(void);
void osq_filter_drain(void);
bool osq_filter_takes(u32 type, const struct osq_about *about);
bool osq_filter_pass(struct osq_ring *ring, u32 type,
		     const struct osq_about *about);

static inline bool osq_filter_pass_task(struct osq_ring *ring, u32 type,
					struct task_struct *task)
{
	return osq_filter_pass(ring, type, &(struct osq_about){ .task = task });
}

/* watch_order.c, watch.c */
struct osq_watch_order;
struct osq_watch_order *osq_watch_prepare(void __user *user);
int osq_watch_apply(struct osq_watch_order *order);
void osq_watch_put(struct osq_watch_order *order);
void osq_watches_drain(void);

/* publish_*.c - see struct osq_publisher. */
bool osq_publish_exec_probe(void);
int osq_publish_exec_start(struct osq_ring *ring, u64 options);
void osq_publish_exec_configure(u64 options);
void osq_publish_exec_stop(void);
bool osq_publish_fork_probe(void);
int osq_publish_fork_start(struct osq_ring *ring, u64 options);
void osq_publish_fork_configure(u64 options);
void osq_publish_fork_stop(void);
bool osq_publish_exit_probe(void);
int osq_publish_exit_start(struct osq_ring *ring, u64 options);
void osq_publish_exit_configure(u64 options);
void osq_publish_exit_stop(void);
bool osq_publish_socket_probe(void);
int osq_publish_socket_start(struct osq_ring *ring, u64 options);
void osq_publish_socket_configure(u64 options);
void osq_publish_socket_stop(void);
u64 osq_publish_socket_missed(void);
bool osq_publish_file_probe(void);
int osq_publish_file_start(struct osq_ring *ring, u64 options);
void osq_publish_file_configure(u64 options);
void osq_publish_file_stop(void);
int osq_publish_module_start(struct osq_ring *ring, u64 options);
void osq_publish_module_configure(u64 options);
void osq_publish_module_stop(void);
u64 osq_publish_module_missed(void);
bool osq_publish_module_is_off(void);
bool osq_publish_cred_probe(void);
int osq_publish_cred_start(struct osq_ring *ring, u64 options);
void osq_publish_cred_configure(u64 options);
void osq_publish_cred_stop(void);
u64 osq_publish_cred_missed(void);
bool osq_publish_ptrace_probe(void);
int osq_publish_ptrace_start(struct osq_ring *ring, u64 options);
void osq_publish_ptrace_configure(u64 options);
void osq_publish_ptrace_stop(void);
u64 osq_publish_ptrace_missed(void);
bool osq_publish_namespace_probe(void);
int osq_publish_namespace_start(struct osq_ring *ring, u64 options);
void osq_publish_namespace_configure(u64 options);
void osq_publish_namespace_stop(void);
u64 osq_publish_namespace_missed(void);
bool osq_publish_bpf_probe(void);
int osq_publish_bpf_start(struct osq_ring *ring, u64 options);
void osq_publish_bpf_configure(u64 options);
void osq_publish_bpf_stop(void);
u64 osq_publish_bpf_missed(void);
bool osq_publish_kexec_probe(void);
int osq_publish_kexec_start(struct osq_ring *ring, u64 options);
void osq_publish_kexec_stop(void);
u64 osq_publish_kexec_missed(void);
bool osq_publish_signal_probe(void);
int osq_publish_signal_start(struct osq_ring *ring, u64 options);
void osq_publish_signal_stop(void);
u64 osq_publish_signal_missed(void);

#endif
