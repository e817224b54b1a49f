// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* produce.c - see produce.h. */
#include "produce.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "osq_filter.h"
#include "osq_publisher.h"

#define THREADS 2
#define TICK_NS 2000000u
#define NS_PER_S 1000000000ull

/* Held for reading while a record is made; start and stop hold it alone. */
static pthread_rwlock_t gate = PTHREAD_RWLOCK_INITIALIZER;
static struct osq_ring *rings[OSQ_TYPE_COUNT];
static u64 chosen[OSQ_TYPE_COUNT]; /* the options of each subscription */
static struct osq_filter filters[OSQ_TYPE_COUNT];
static const struct program usual = { .uid = 1000, .path = "/usr/bin/true" };
static atomic_ullong made;
static atomic_ullong rate;
static FILE *ledger;
static pthread_t threads[THREADS];

static struct osq_span append(char *record, u32 *len, const char *bytes,
			      u32 count)
{
	struct osq_span span = { .off = *len, .len = count };

	memcpy(record + *len, bytes, count);
	*len += count;
	return span;
}

/* A program whose arguments carry the number of the record. */
static void put_exec(struct osq_ring *ring, u64 number,
		     const struct program *program)
{
	static const char cwd[] = "/root";
	static const char group[] = "/user.slice";
	static const char env[] = "LANG=C.UTF-8\0SECRET=x\0TERM=dumb";
	union {
		struct osq_exec exec;
		char bytes[1024];
	} one = { 0 };
	u32 len = sizeof(one.exec);
	char argv[64];
	int size = snprintf(argv, sizeof(argv), "true%c--number%c%llu", 0, 0,
			    (unsigned long long)number);

	one.exec.head.type = OSQ_TYPE_EXEC;
	one.exec.head.pid = one.exec.head.tid = (u32)(number % 4000000) + 2;
	one.exec.head.ppid = 1;
	one.exec.uid = one.exec.euid = program->uid;
	one.exec.pid_ns = program->pid_ns;
	one.exec.cgroup_id = program->cgroup_id;
	one.exec.auid = one.exec.session = ~0u;
	one.exec.argc = 3;
	one.exec.envc = 3;
	one.exec.mode = 0100755;
	one.exec.mtime_ns = 1700000000123456789;
	one.exec.ino = 42;
	one.exec.path = append(one.bytes, &len, program->path,
			       (u32)strlen(program->path));
	one.exec.filename = append(one.bytes, &len, "true", 4);
	one.exec.argv = append(one.bytes, &len, argv, (u32)size + 1);
	one.exec.argv_bytes = one.exec.argv.len;
	one.exec.env = append(one.bytes, &len, env, sizeof(env));
	one.exec.env_bytes = one.exec.env.len;
	one.exec.cwd = append(one.bytes, &len, cwd, sizeof(cwd) - 1);
	one.exec.cgroup = append(one.bytes, &len, group, sizeof(group) - 1);
	one.exec.head.len = (len + 7) & ~7u;
	osq_ring_put(ring, &one.exec.head, OSQ_RANK_ANY);
}

static void put_fork(struct osq_ring *ring, u64 number)
{
	struct osq_fork one = {
		.head = { .type = OSQ_TYPE_FORK,
			  .len = sizeof(one),
			  .pid = 1,
			  .tid = 1 },
		.child_pid = (u32)(number % 4000000) + 2,
	};

	one.child_tid = one.child_pid;
	osq_ring_put(ring, &one.head, OSQ_RANK_ANY);
}

static void put_exit(struct osq_ring *ring, u64 number)
{
	struct osq_exit one = {
		.head = { .type = OSQ_TYPE_EXIT, .len = sizeof(one), .ppid = 1 },
		.status = number % 2 ? 3 << 8 : 9,
		.last = 1,
	};

	one.head.pid = one.head.tid = (u32)(number % 4000000) + 2;
	osq_ring_put(ring, &one.head, OSQ_RANK_ANY);
}

/* As os/linux/filter.c asks; the gate is held. */
static bool is_let_in(u32 type, const struct program *program)
{
	const struct osq_filter *filter = &filters[type];
	struct osq_subject subject = {
		.uid = program->uid,
		.in_pid_ns = osq_filter_has_pid_ns(filter, program->pid_ns),
		.in_cgroup = osq_filter_has_cgroup(filter, program->cgroup_id),
	};

	if (type == OSQ_TYPE_EXEC) {
		subject.path = program->path;
		subject.path_bytes = (u32)strlen(program->path);
		/* There is one file system here: a path is a place. */
		subject.in_place = osq_filter_has_path(filter, subject.path,
						       subject.path_bytes);
	}
	return osq_filter_lets(filter, &subject);
}

/* stdio locks the file for each entry. */
static void enter(u64 number)
{
	u64 entry[] = { number, osq_os_boot_ns() };

	if (ledger)
		fwrite(entry, sizeof(entry), 1, ledger);
}

static void publish(u32 type, u64 number, const struct program *program)
{
	if (type == OSQ_TYPE_EXEC)
		put_exec(rings[type], number, program);
	else if (type == OSQ_TYPE_FORK)
		put_fork(rings[type], number);
	else
		put_exit(rings[type], number);
}

static void put(u32 type, const struct program *program)
{
	pthread_rwlock_rdlock(&gate);
	if (rings[type] && !is_let_in(type, program)) {
		osq_ring_filtered(rings[type], (u16)type);
	} else if (rings[type] || ledger) {
		u64 number = atomic_fetch_add(&made, 1) + 1;

		enter(number);
		if (rings[type])
			publish(type, number, program);
	}
	pthread_rwlock_unlock(&gate);
}

int produce_ledger(const char *path)
{
	ledger = fopen(path, "wbe");
	return ledger ? 0 : -errno;
}

void produce_ledger_flush(void)
{
	if (ledger)
		fflush(ledger);
}

void produce_burst(uint64_t count)
{
	while (count--)
		put(OSQ_TYPE_EXEC, &usual);
}

void produce_program(const struct program *program)
{
	put(OSQ_TYPE_EXEC, program);
}

/* As os/linux/publish_*.c decide; the gate is held. */
static bool is_left_out(const struct osq_record *record)
{
	const struct osq_fork *fork = (const struct osq_fork *)record;
	const struct osq_exit *exit = (const struct osq_exit *)record;

	if (record->type == OSQ_TYPE_FORK)
		return chosen[OSQ_TYPE_FORK] & OSQ_FORK_PROCESSES &&
		       fork->child_pid == record->pid;
	return record->type == OSQ_TYPE_EXIT &&
	       chosen[OSQ_TYPE_EXIT] & OSQ_EXIT_PROCESSES && !exit->last;
}

static bool is_chosen(const struct osq_record *record)
{
	const struct osq_socket *socket = (const struct osq_socket *)record;
	u64 wanted = chosen[OSQ_TYPE_SOCKET] ?: OSQ_SOCKET_OPTS;

	return record->type != OSQ_TYPE_SOCKET ||
	       wanted & OSQ_SOCKET_OPT(socket->action);
}

void produce_record(struct osq_record *record)
{
	struct osq_ring *ring;

	pthread_rwlock_rdlock(&gate);
	ring = rings[record->type];
	if (ring && is_left_out(record))
		osq_ring_filtered(ring, record->type);
	else if (ring && is_chosen(record))
		osq_ring_put(ring, record, OSQ_RANK_ANY);
	pthread_rwlock_unlock(&gate);
}

void produce_filter(const struct osq_filter *filter)
{
	pthread_rwlock_wrlock(&gate);
	filters[filter->type] = *filter;
	pthread_rwlock_unlock(&gate);
}

void produce_unfiltered(void)
{
	pthread_rwlock_wrlock(&gate);
	memset(filters, 0, sizeof(filters));
	pthread_rwlock_unlock(&gate);
}

/* Up to the number that is due by now, then a tick of sleep. */
static void *pace(void *unused)
{
	static const u32 types[] = {
		OSQ_TYPE_FORK,
		OSQ_TYPE_EXEC,
		OSQ_TYPE_EXEC,
		OSQ_TYPE_EXIT,
	};
	u64 begun_ns = osq_os_boot_ns(), done = 0, per_s;

	(void)unused;
	while ((per_s = atomic_load(&rate)) != 0) {
		struct timespec tick = { .tv_nsec = TICK_NS };
		u64 due = (osq_os_boot_ns() - begun_ns) * per_s / THREADS /
			  NS_PER_S;

		for (; done < due; done++)
			put(types[done % 4], &usual);
		nanosleep(&tick, NULL);
	}
	return NULL;
}

void produce_rate(uint64_t per_second)
{
	int i, was_running = atomic_exchange(&rate, 0) != 0;

	for (i = 0; was_running && i < THREADS; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&rate, per_second);
	for (i = 0; per_second && i < THREADS; i++)
		pthread_create(&threads[i], NULL, pace, NULL);
}

static void connect_type(u32 type, struct osq_ring *ring, u64 options)
{
	pthread_rwlock_wrlock(&gate);
	rings[type] = ring;
	chosen[type] = options;
	pthread_rwlock_unlock(&gate);
}

#define PUBLISHER(lower, upper)                                      \
	static int lower##_start(struct osq_ring *ring, u64 options) \
	{                                                            \
		connect_type(OSQ_TYPE_##upper, ring, options);       \
		return 0;                                            \
	}                                                            \
	static void lower##_stop(void)                               \
	{                                                            \
		connect_type(OSQ_TYPE_##upper, NULL, 0);             \
	}
#define BY_PROCESS \
	(OSQ_FILTER_BY_UID | OSQ_FILTER_BY_PID_NS | OSQ_FILTER_BY_CGROUP)
PUBLISHER(exec, EXEC)
PUBLISHER(fork, FORK)
PUBLISHER(exit, EXIT)
PUBLISHER(socket, SOCKET)
PUBLISHER(file, FILE)
PUBLISHER(module, MODULE)
PUBLISHER(cred, CRED)
PUBLISHER(ptrace, PTRACE)
PUBLISHER(namespace, NAMESPACE)
PUBLISHER(bpf, BPF)
PUBLISHER(kexec, KEXEC)
PUBLISHER(signal, SIGNAL)

const struct osq_publisher osq_publishers[] = {
	{ .name = "exec",
	  .type = OSQ_TYPE_EXEC,
	  .options = OSQ_EXEC_ENV,
	  .filters = BY_PROCESS | OSQ_FILTER_BY_PATH,
	  .start = exec_start,
	  .stop = exec_stop },
	{ .name = "fork",
	  .type = OSQ_TYPE_FORK,
	  .options = OSQ_FORK_PROCESSES,
	  .filters = BY_PROCESS,
	  .start = fork_start,
	  .stop = fork_stop },
	{ .name = "exit",
	  .type = OSQ_TYPE_EXIT,
	  .options = OSQ_EXIT_PROCESSES,
	  .filters = BY_PROCESS,
	  .start = exit_start,
	  .stop = exit_stop },
	{ .name = "socket",
	  .type = OSQ_TYPE_SOCKET,
	  .options = OSQ_SOCKET_OPTS,
	  .start = socket_start,
	  .stop = socket_stop },
	{ .name = "file",
	  .type = OSQ_TYPE_FILE,
	  .options = OSQ_FILE_OPT_ALL,
	  .start = file_start,
	  .stop = file_stop },
	{ .name = "module",
	  .type = OSQ_TYPE_MODULE,
	  .options = OSQ_MODULE_OPT_ALL,
	  .start = module_start,
	  .stop = module_stop },
	{ .name = "cred",
	  .type = OSQ_TYPE_CRED,
	  .options = OSQ_CRED_OPT_ALL,
	  .start = cred_start,
	  .stop = cred_stop },
	{ .name = "ptrace",
	  .type = OSQ_TYPE_PTRACE,
	  .options = OSQ_PTRACE_OPT_ALL,
	  .start = ptrace_start,
	  .stop = ptrace_stop },
	{ .name = "namespace",
	  .type = OSQ_TYPE_NAMESPACE,
	  .options = OSQ_NAMESPACE_OPT_ALL,
	  .start = namespace_start,
	  .stop = namespace_stop },
	{ .name = "bpf",
	  .type = OSQ_TYPE_BPF,
	  .options = OSQ_BPF_OPT_ALL,
	  .start = bpf_start,
	  .stop = bpf_stop },
	{ .name = "kexec",
	  .type = OSQ_TYPE_KEXEC,
	  .start = kexec_start,
	  .stop = kexec_stop },
	{ .name = "signal",
	  .type = OSQ_TYPE_SIGNAL,
	  .start = signal_start,
	  .stop = signal_stop },
	{ 0 },
};
