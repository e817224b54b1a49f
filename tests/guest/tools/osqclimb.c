// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqclimb.c - what an event costs that is deep in a tree of folders.
 *
 *	osqclimb FOLDER DEPTH TIMES [rename]
 *
 * Makes DEPTH folders one in the other below FOLDER, which is empty or was
 * used before, and a file there; changes its mode TIMES times and prints the
 * least nanoseconds that one took. With "rename" a child renames a folder
 * beside all the time.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void must(int worked, const char *what)
{
	if (worked)
		return;
	perror(what);
	exit(1);
}

static long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static int deep_file(const char *folder, long depth)
{
	int at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), next;

	must(at >= 0, folder);
	while (depth--) {
		must(!mkdirat(at, "d", 0700) || errno == EEXIST, "mkdirat");
		next = openat(at, "d", O_PATH | O_DIRECTORY | O_CLOEXEC);
		must(next >= 0, "openat");
		close(at);
		at = next;
	}
	next = openat(at, "f", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	must(next >= 0, "file");
	return next;
}

static pid_t rename_beside(const char *folder)
{
	pid_t child = fork();

	if (child)
		return child;
	must(!chdir(folder) && (!mkdir("one", 0700) || errno == EEXIST),
	     "mkdir");
	for (;;) {
		rename("one", "other");
		rename("other", "one");
	}
}

int main(int argc, char **argv)
{
	long long least = -1, began;
	pid_t child = 0;
	long times, i;
	int fd;

	if (argc < 4)
		return 2;
	fd = deep_file(argv[1], atol(argv[2]));
	times = atol(argv[3]);
	if (argc > 4)
		child = rename_beside(argv[1]);
	for (i = 0; i < times; i++) {
		began = now_ns();
		must(!fchmod(fd, 0600 + (i & 1)), "fchmod");
		began = now_ns() - began;
		if (least < 0 || began < least)
			least = began;
	}
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	printf("%lld\n", least);
	return 0;
}
