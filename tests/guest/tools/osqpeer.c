// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqpeer.c - a process that does with the driver's device what each line of
 * its input says: the tests that are the same on Linux and macOS lead it.
 *
 * An answer is one line: an errno, 0 for none, and bytes in hex where there
 * are some. It uses osq.h and POSIX only, and is built on a Mac, too.
 *
 *	open, open nonblock	the device
 *	close
 *	ioctl NAME HEX		answers the argument as it is then
 *	child NAME HEX		the same, by a child that shares the device
 *	map BYTES		the ring, for reading
 *	read OFFSET BYTES	of that mapping
 *	run PATH		start the program with "quit", wait for its end
 *	heir			replace this program by itself, device open
 *	die			SIGKILL; there is no answer
 *
 *	osqpeer quit		what 'run' runs
 *	osqpeer FD		what 'heir' runs
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "osq.h"

#define LINE_BYTES 16384
#define NO_FD -1

static const struct {
	const char *name;
	unsigned long number;
	size_t size;
} calls[] = {
	{ "VERSION", OSQ_IOC_VERSION, sizeof(struct osq_version) },
	{ "CAPS", OSQ_IOC_CAPS, sizeof(struct osq_caps) },
	{ "ALLOCATE", OSQ_IOC_ALLOCATE, sizeof(struct osq_allocate) },
	{ "SUBSCRIBE", OSQ_IOC_SUBSCRIBE, sizeof(struct osq_subscribe) },
	{ "SYNC", OSQ_IOC_SYNC, sizeof(struct osq_sync) },
	{ "NOTIFY", OSQ_IOC_NOTIFY, sizeof(struct osq_notify) },
	{ "STATS", OSQ_IOC_STATS, sizeof(struct osq_stats) },
	{ "WATCH", OSQ_IOC_WATCH, sizeof(struct osq_watch) },
	{ "UNKNOWN", _IOW('q', 99, __u64), sizeof(__u64) },
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

static char *self;
static int fd = NO_FD;
static const unsigned char *ring;
static size_t ring_bytes;

static void answer(int failed, const unsigned char *data, size_t size)
{
	printf("%d", failed ? errno : 0);
	for (size_t i = 0; i < size; i++)
		printf("%s%02x", i ? "" : " ", data[i]);
	puts("");
	fflush(stdout);
}

static size_t from_hex(const char *text, unsigned char *data, size_t room)
{
	unsigned int byte;
	size_t size = 0;

	while (size < room && sscanf(text + 2 * size, "%2x", &byte) == 1)
		data[size++] = byte;
	return size;
}

/* Return the call's index, its argument in data; CALLS when there is none. */
static size_t find(const char *words, unsigned char *data, size_t room)
{
	char name[32], hex[LINE_BYTES] = "";
	size_t i;

	if (sscanf(words, "%31s %16383s", name, hex) < 1)
		return CALLS;
	memset(data, 0, room);
	from_hex(hex, data, room);
	for (i = 0; i < CALLS && strcmp(name, calls[i].name); i++)
		;
	return i;
}

static void call(const char *words, int by_child)
{
	static unsigned char data[LINE_BYTES / 2];
	size_t i = find(words, data, sizeof(data));
	int status;

	errno = EDOM;
	if (i == CALLS) {
		answer(1, NULL, 0);
	} else if (!by_child) {
		int failed = ioctl(fd, calls[i].number, data);

		answer(failed, data, failed ? 0 : calls[i].size);
	} else {
		if (fork() == 0)
			_exit(ioctl(fd, calls[i].number, data) ? errno : 0);
		wait(&status);
		errno = WEXITSTATUS(status);
		answer(errno != 0, NULL, 0);
	}
}

/* Where the driver made the mapping, it is the driver's to take away. */
static void unmap(void)
{
#ifndef __APPLE__
	if (ring)
		munmap((void *)ring, ring_bytes);
#endif
	ring = NULL;
}

static void map(size_t size)
{
	unmap();
	ring_bytes = size;
#ifdef __APPLE__
	struct osq_map where = { 0 };
	int failed = ioctl(fd, OSQ_IOC_MAP, &where);

	errno = failed ? errno : EPROTO;
	ring = (const unsigned char *)(uintptr_t)where.address;
	answer(failed || where.map_bytes != size, NULL, 0);
#else
	void *at = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	ring = at == MAP_FAILED ? NULL : at;
	answer(!ring, NULL, 0);
#endif
}

static void run(char *path)
{
	char *const arguments[] = { path, "quit", NULL };
	char *const nothing[] = { NULL };
	pid_t child;
	int status;

	errno = posix_spawn(&child, path, NULL, NULL, arguments, nothing);
	if (!errno && waitpid(child, &status, 0) == child && status)
		errno = EDOM;
	answer(errno != 0, NULL, 0);
}

static void become_heir(void)
{
	char number[16];
	char *const arguments[] = { self, number, NULL };

	snprintf(number, sizeof(number), "%d", fd);
	if (!fcntl(fd, F_SETFD, 0))
		execv(self, arguments);
	answer(1, NULL, 0);
}

static void obey(char *line)
{
	unsigned long offset, size;

	if (!strncmp(line, "open", 4)) {
		fd = open(OSQ_DEVICE,
			  O_RDWR | O_CLOEXEC | (line[4] ? O_NONBLOCK : 0));
		answer(fd < 0, NULL, 0);
	} else if (!strcmp(line, "close")) {
		int failed;

		unmap();
		failed = close(fd);
		fd = NO_FD;
		answer(failed, NULL, 0);
	} else if (!strncmp(line, "ioctl ", 6)) {
		call(line + 6, 0);
	} else if (!strncmp(line, "child ", 6)) {
		call(line + 6, 1);
	} else if (sscanf(line, "map %lu", &size) == 1) {
		map(size);
	} else if (sscanf(line, "read %lu %lu", &offset, &size) == 2 && ring) {
		answer(0, ring + offset, size);
	} else if (!strncmp(line, "run ", 4)) {
		run(line + 4);
	} else if (!strcmp(line, "heir")) {
		become_heir();
	} else if (!strcmp(line, "die")) {
		raise(SIGKILL);
	} else {
		errno = EDOM;
		answer(1, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	static char line[LINE_BYTES];

	self = argv[0];
	if (argc == 2 && !strcmp(argv[1], "quit"))
		return 0;
	if (argc == 2) {
		fd = atoi(argv[1]);
		answer(0, NULL, 0);
	}
	/* What the heir is to read must not be in a buffer of this one's. */
	setvbuf(stdin, NULL, _IONBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		obey(line);
	}
	return 0;
}
