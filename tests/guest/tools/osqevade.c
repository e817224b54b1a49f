// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqevade.c - do what is easily not seen.
 *
 *	osqevade files WATCHED OUTSIDE
 *		change the files "cut", "linked", "touched" and "held" of
 *		WATCHED: by truncate(2), by a hard link in OUTSIDE, by its time
 *		alone, and by many writes without a close; then wait
 *	osqevade namespaces TRIES PROGRAM
 *		make TRIES pid namespaces, one after the other, as anybody can;
 *		run PROGRAM in each, and print its number
 *	osqevade nest CPU SECONDS RUNNERS PROGRAM
 *		RUNNERS processes of one CPU run PROGRAM with long arguments
 *		again and again, beside one that uses the CPU up; print the count
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WRITES 50
#define HOGS 1

static void must(int worked, const char *what)
{
	if (worked)
		return;
	perror(what);
	exit(1);
}

static _Noreturn void files(const char *watched, const char *outside)
{
	const struct timespec day[2] = { { .tv_nsec = UTIME_OMIT },
					 { .tv_sec = 86400 } };
	int out = open(outside, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd, i;

	must(!chdir(watched) && out >= 0, "folders");
	must(!truncate("cut", 3), "truncate");

	must(!linkat(AT_FDCWD, "linked", out, "other", 0), "link");
	fd = openat(out, "other", O_WRONLY | O_CLOEXEC);
	must(fd >= 0 && write(fd, "x", 1) == 1 && !close(fd), "write");
	must(!fchmodat(out, "other", 0604, 0), "chmod");
	must(!unlinkat(out, "other", 0), "unlink");

	must(!utimensat(AT_FDCWD, "touched", day, 0), "utimensat");

	fd = open("held", O_WRONLY | O_CLOEXEC);
	must(fd >= 0, "held");
	for (i = 0; i < WRITES; i++)
		must(write(fd, "x", 1) == 1, "write");
	puts("done");
	fflush(stdout);
	for (;;)
		pause();
}

static void in_one_namespace(const char *program)
{
	struct stat is;
	pid_t child;

	must(!unshare(CLONE_NEWUSER | CLONE_NEWPID), "unshare");
	child = fork();
	if (!child) {
		execl(program, program, NULL);
		_exit(127);
	}
	must(!stat("/proc/self/ns/pid_for_children", &is), "stat");
	waitpid(child, NULL, 0);
	printf("%lu\n", (unsigned long)is.st_ino);
	fflush(stdout);
	_exit(0);
}

static int namespaces(int tries, const char *program)
{
	while (tries--) {
		pid_t child = fork();
		int status;

		if (!child)
			in_one_namespace(program);
		waitpid(child, &status, 0);
		must(!status, "namespace");
	}
	return 0;
}

static void run_again(const char *program, long *count)
{
	static char longer[12000];
	char *args[] = { (char *)program, longer, NULL };

	memset(longer, 'x', sizeof(longer) - 1);
	setpriority(PRIO_PROCESS, 0, 5);
	for (;;) {
		pid_t child = vfork();

		if (!child) {
			execv(program, args);
			_exit(127);
		}
		waitpid(child, NULL, 0);
		__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
	}
}

static int nest(int cpu, unsigned int seconds, int runners, const char *program)
{
	long *count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cpu_set_t set;
	int i;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must(!sched_setaffinity(0, sizeof(set), &set), "affinity");
	setpgid(0, 0);
	for (i = 0; i < HOGS + runners; i++) {
		if (fork())
			continue;
		if (i >= HOGS)
			run_again(program, count);
		for (;;)
			;
	}
	CPU_SET(!cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	sleep(seconds);
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	while (waitpid(-1, NULL, 0) > 0)
		;
	printf("%ld\n", *count);
	return 0;
}

int main(int argc, char **argv)
{
	const char *scene = argc > 1 ? argv[1] : "";

	if (!strcmp(scene, "files") && argc == 4)
		files(argv[2], argv[3]);
	if (!strcmp(scene, "namespaces") && argc == 4)
		return namespaces(atoi(argv[2]), argv[3]);
	if (!strcmp(scene, "nest") && argc == 6)
		return nest(atoi(argv[2]), (unsigned int)atoi(argv[3]),
			    atoi(argv[4]), argv[5]);
	fputs("osqevade: see the head of osqevade.c\n", stderr);
	return 2;
}
