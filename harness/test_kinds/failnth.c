// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * failnth - run a command, or load a module, again and again, and each time let
 * one more allocation of one of its system calls fail. It prints a KTAP result
 * for each of these calls.
 *
 * usage: failnth NAME [DEVICE]... -- COMMAND [ARGUMENT]...
 *        failnth NAME --load FILE MODULE PARAMETERS
 *
 * The calls are those that load a module, that open one of the devices, and
 * whose file is one of the devices. Of equal calls, such as two ioctls with one
 * number, the first is taken. The kernel counts allocations for each thread:
 * a number N in /proc/PID/task/TID/fail-nth lets the N-th from then on fail
 * (Documentation/fault-injection/fault-injection.rst). So the number is written
 * when the call begins, and read when it has ended.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* More allocations of one call, or kinds of calls, are not looked at. */
#define MOST_ALLOCATIONS 1000
#define MOST_KINDS 64
/* After so many failures of one call, a line says how far it is. */
#define PROGRESS 25
#define PATH_BYTES 256
#define OPTIONS                                                               \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |   \
	 PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)

struct kind {
	unsigned long long number;
	unsigned long long detail; /* an ioctl's number */
};

/* One run of the command. */
struct attempt {
	size_t target; /* the kind of call whose allocation is to fail */
	unsigned int nth;
	struct kind kinds[MOST_KINDS];
	size_t known;
	pid_t armed; /* the thread that is in that call, 0 for none */
	bool reached;
	bool injected;
	long long result;
};

/* What is run again and again: a command, or the loading of a module. */
struct work {
	char **command; /* NULL: a module is loaded */
	const char *file;
	const char *module;
	const char *parameters;
};

static char **devices;
static size_t device_count;

static void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static bool is_device(const char *path)
{
	size_t i;

	for (i = 0; i < device_count; i++)
		if (!strcmp(path, devices[i]))
			return true;
	return false;
}

static bool is_device_file(pid_t tid, unsigned long long fd)
{
	char link[64], path[PATH_BYTES];
	ssize_t length;

	if (fd > 1 << 20)
		return false;
	snprintf(link, sizeof(link), "/proc/%d/fd/%llu", tid, fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (length < 0)
		return false;
	path[length] = 0;
	return is_device(path);
}

/* Reads up to the end of a page, because the next one may be missing. */
static bool is_device_path(pid_t tid, unsigned long long address)
{
	char path[PATH_BYTES + 1] = "";
	size_t left = 4096 - address % 4096;
	struct iovec here = { path, PATH_BYTES };
	struct iovec there = { (void *)address, PATH_BYTES };

	if (left < PATH_BYTES)
		there.iov_len = left;
	if (process_vm_readv(tid, &here, 1, &there, 1, 0) < 0)
		return false;
	return is_device(path);
}

static bool is_wanted(pid_t tid, const struct __ptrace_syscall_info *info)
{
	const uint64_t *args = info->entry.args;

	switch (info->entry.nr) {
	case SYS_finit_module:
	case SYS_init_module:
		return true;
	case SYS_openat:
		return is_device_path(tid, args[1]);
#ifdef SYS_open
	case SYS_open:
		return is_device_path(tid, args[0]);
#endif
	case SYS_mmap:
		return is_device_file(tid, args[4]);
	case SYS_close:
		return false;
	}
	return is_device_file(tid, args[0]);
}

/* Return the index of a call's kind, which is new or known. */
static size_t kind_of(struct attempt *run, const struct kind *wanted, bool *new)
{
	size_t i;

	*new = false;
	for (i = 0; i < run->known; i++)
		if (run->kinds[i].number == wanted->number &&
		    run->kinds[i].detail == wanted->detail)
			return i;
	if (run->known == MOST_KINDS)
		return MOST_KINDS;
	run->kinds[run->known] = *wanted;
	*new = true;
	return run->known++;
}

static int open_nth(pid_t tid, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fail-nth", tid);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		die("the kernel has no fail-nth (CONFIG_FAULT_INJECTION)");
	return fd;
}

static void set_nth(pid_t tid, unsigned int nth)
{
	int fd = open_nth(tid, O_WRONLY);
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", nth);

	if (write(fd, text, length) != length)
		die("fail-nth");
	close(fd);
}

static unsigned int get_nth(pid_t tid)
{
	int fd = open_nth(tid, O_RDONLY);
	char text[16] = "";

	if (read(fd, text, sizeof(text) - 1) < 0)
		die("fail-nth");
	close(fd);
	return strtoul(text, NULL, 10);
}

static void at_syscall(struct attempt *run, pid_t tid)
{
	struct __ptrace_syscall_info info;
	struct kind wanted;
	bool new;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) < 0)
		return;
	if (info.op == PTRACE_SYSCALL_INFO_EXIT && tid == run->armed) {
		run->armed = 0;
		run->injected = get_nth(tid) == 0;
		run->result = info.exit.rval;
		set_nth(tid, 0);
	}
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY || !is_wanted(tid, &info))
		return;
	wanted.number = info.entry.nr;
	wanted.detail = info.entry.nr == SYS_ioctl ? info.entry.args[1] : 0;
	if (kind_of(run, &wanted, &new) != run->target || !new)
		return;
	run->reached = true;
	run->armed = tid;
	set_nth(tid, run->nth);
}

/* Let a thread go on after a stop; a signal is passed on. */
static void go_on(struct attempt *run, pid_t tid, int status)
{
	int signal = WSTOPSIG(status);

	if (signal == (SIGTRAP | 0x80)) {
		at_syscall(run, tid);
		signal = 0;
	} else if (signal == SIGTRAP || signal == SIGSTOP) {
		/* It has forked, is new, or has executed a program. */
		signal = 0;
	}
	ptrace(PTRACE_SYSCALL, tid, 0, signal);
}

/* The module is unloaded again when the kernel has taken it. */
static void load(const struct work *work)
{
	int fd = open(work->file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		_exit(127);
	if (!syscall(SYS_finit_module, fd, work->parameters, 0))
		syscall(SYS_delete_module, work->module, O_NONBLOCK);
	_exit(0);
}

static void do_work(const struct work *work)
{
	int null = open("/dev/null", O_RDWR);

	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
	if (!work->command)
		load(work);
	execvp(work->command[0], work->command);
	_exit(127);
}

static void run_once(struct attempt *run, const struct work *work)
{
	pid_t first = fork();
	int status;
	pid_t tid;

	if (first < 0)
		die("fork");
	if (!first)
		do_work(work);
	if (waitpid(first, &status, 0) < 0 ||
	    ptrace(PTRACE_SETOPTIONS, first, 0, OPTIONS) < 0)
		die("ptrace");
	ptrace(PTRACE_SYSCALL, first, 0, 0);
	while ((tid = waitpid(-1, &status, __WALL)) > 0)
		if (WIFSTOPPED(status))
			go_on(run, tid, status);
}

/* A failed allocation is -ENOMEM, a failed copy of user memory -EFAULT. */
static bool is_right(const struct attempt *run)
{
	return run->result >= 0 || run->result == -ENOMEM ||
	       run->result == -EFAULT;
}

static const char *name_of(const struct kind *kind, char *text, size_t size)
{
	switch (kind->number) {
	case SYS_finit_module:
	case SYS_init_module:
		return "init_module";
	case SYS_openat:
		return "open";
	case SYS_ioctl:
		snprintf(text, size, "ioctl %#llx", kind->detail);
		return text;
	case SYS_mmap:
		return "mmap";
	case SYS_read:
		return "read";
	case SYS_write:
		return "write";
	}
	snprintf(text, size, "system call %llu", kind->number);
	return text;
}

/*
 * Let each allocation of one kind of call fail, and print the result. Return
 * false when the command has no further kind of call.
 */
static bool fail_each(const char *name, size_t target, const struct work *work)
{
	unsigned int nth, wrong = 0;
	const char *what = NULL;
	struct attempt run;
	char text[64];

	for (nth = 1; nth <= MOST_ALLOCATIONS; nth++) {
		memset(&run, 0, sizeof(run));
		run.target = target;
		run.nth = nth;
		run_once(&run, work);
		if (!run.reached && nth == 1)
			return false;
		if (!run.reached) {
			printf("# the command did not make this call again; it "
			       "has to do the same each time\n");
			wrong++;
			break;
		}
		what = name_of(&run.kinds[target], text, sizeof(text));
		if (!run.injected)
			break;
		if (nth % PROGRESS == 0) {
			printf("# %u have failed\n", nth);
			fflush(stdout);
		}
		if (is_right(&run))
			continue;
		wrong++;
		printf("# failure %u of %s returns %s\n", nth, what,
		       strerror(-run.result));
	}
	printf("# %u allocations and copies failed, one at a time\n", nth - 1);
	printf("%sok %zu - %s: %s\n", wrong ? "not " : "", target + 1, name,
	       what);
	fflush(stdout);
	return true;
}

/* Return false when the words are not those of the usage. */
static bool read_words(int argc, char **argv, struct work *work)
{
	if (argc == 6 && !strcmp(argv[2], "--load")) {
		work->file = argv[3];
		work->module = argv[4];
		work->parameters = argv[5];
		return true;
	}
	if (argc < 4)
		return false;
	devices = argv + 2;
	while (argv[2 + device_count] && strcmp(argv[2 + device_count], "--"))
		device_count++;
	if (!argv[2 + device_count])
		return false;
	work->command = argv + 3 + device_count;
	return *work->command != NULL;
}

int main(int argc, char **argv)
{
	struct work work = { 0 };
	const char *name;
	size_t target;

	if (!read_words(argc, argv, &work))
		return 2;
	name = argv[1];
	printf("KTAP version 1\n");
	fflush(stdout);
	for (target = 0; target < MOST_KINDS; target++)
		if (!fail_each(name, target, &work))
			break;
	if (!target)
		printf("ok 1 - %s # SKIP no such call\n", name);
	printf("1..%zu\n", target ? target : 1);
	return 0;
}
