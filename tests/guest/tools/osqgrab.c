// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqgrab.c - a process that gets hold of another one in each way, and looks
 * at it in ways that get no hold.
 *
 *	osqgrab		all ways, at a child of its own, and a child at this
 *			process
 *	osqgrab PID	attach to that process, which must be refused
 *
 * A line for each way that gets hold: its name, the number of its system
 * call, the process that calls and its target. Exit status 0 when each way
 * did what it should.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char word[] = "word"; /* at the same address in the child */

static void must(int holds, const char *what)
{
	if (!holds) {
		perror(what);
		exit(1);
	}
}

static void told(const char *name, long number, int caller, int target)
{
	printf("%s %ld %d %d\n", name, number, caller, target);
	fflush(stdout);
}

static void attach(pid_t child)
{
	must(!ptrace(PTRACE_ATTACH, child, 0, 0), "attach");
	told("attach", SYS_ptrace, getpid(), child);
	must(waitpid(child, NULL, 0) == child, "stop");
	must(!ptrace(PTRACE_DETACH, child, 0, 0), "detach");
}

static int copy_from(pid_t pid)
{
	char own[sizeof(word)];
	struct iovec here = { own, sizeof(own) };
	struct iovec there = { word, sizeof(word) };

	return process_vm_readv(pid, &here, 1, &there, 1, 0) > 0;
}

static void copy(pid_t child)
{
	char own[sizeof(word)] = "Word";
	struct iovec here = { own, sizeof(own) };
	struct iovec there = { word, sizeof(word) };

	must(copy_from(child), "readv");
	told("readv", SYS_process_vm_readv, getpid(), child);
	must(process_vm_writev(child, &here, 1, &there, 1, 0) > 0, "writev");
	told("writev", SYS_process_vm_writev, getpid(), child);
}

/* Open a file of a process in /proc, and read a byte of it if it has any. */
static void open_file(pid_t pid, const char *name, int flags)
{
	char path[64], byte;
	int file;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	file = open(path, flags);
	must(file >= 0, path);
	if (flags == O_RDONLY)
		must(read(file, &byte, 1) == 1, path);
	close(file);
}

/* The child of a traced child's tracer: that is this process. */
static void traceme(void)
{
	pid_t child = fork();

	if (!child)
		_exit(ptrace(PTRACE_TRACEME, 0, 0, 0) != 0);
	must(waitpid(child, NULL, 0) == child, "traceme");
	told("traceme", SYS_ptrace, child, getpid());
}

static void parent(void)
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(!copy_from(getppid()));
	must(waitpid(child, &status, 0) == child && !status, "parent");
	told("parent", SYS_process_vm_readv, child, getpid());
}

int main(int argc, char **argv)
{
	pid_t child;

	if (argc > 1)
		return !ptrace(PTRACE_ATTACH, atoi(argv[1]), 0, 0);
	child = fork();
	if (!child)
		for (;;)
			pause();
	open_file(child, "stat", O_RDONLY);
	open_file(child, "maps", O_RDONLY);
	open_file(getpid(), "mem", O_RDWR);
	attach(child);
	copy(child);
	open_file(child, "mem", O_RDWR);
	told("mem", SYS_openat, getpid(), child);
	traceme();
	parent();
	kill(child, SIGKILL);
	must(waitpid(child, NULL, 0) == child, "end");
	return 0;
}
