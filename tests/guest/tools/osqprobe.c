// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqprobe.c - do to /dev/osquery what must not be done, and print what the
 * driver says: one JSON object, the errno of each attempt (0: it worked).
 *
 * A test tool, one scene a run:
 *	osqprobe		wrong calls, one after the other
 *	osqprobe owners		others use the owner's descriptor
 *	osqprobe orphan		the owner dies, a child keeps the descriptor
 *	osqprobe storm N	no JSON: N execs of itself, one after the other
 *	osqprobe exit		what 'storm' runs
 *	osqprobe caps [DEVICE]	what this driver can do on this kernel
 *	osqprobe heir FD	what 'owners' runs
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "osq.h"

#define RING_BYTES 65536

static int first = 1;

static void say(const char *what, int failed)
{
	printf("%s\"%s\":%d", first ? "{" : ",", what, failed ? errno : 0);
	first = 0;
	fflush(stdout);
}

static void allocate(int fd, const char *what, unsigned int abi,
		     unsigned long long bytes)
{
	struct osq_allocate request = { .abi = abi, .ring_bytes = bytes };

	say(what, ioctl(fd, OSQ_IOC_ALLOCATE, &request));
}

static void sync_at(int fd, const char *what, unsigned int generation,
		    unsigned long long pos)
{
	struct osq_sync request = { .generation = generation, .read_pos = pos };

	say(what, ioctl(fd, OSQ_IOC_SYNC, &request));
}

static void map(int fd, const char *what, size_t bytes, int protection)
{
	void *at = mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);

	say(what, at == MAP_FAILED);
	if (at != MAP_FAILED && protection == PROT_READ)
		say("mprotect_write",
		    mprotect(at, bytes, PROT_READ | PROT_WRITE));
}

static void subscribe(int fd, const char *what, unsigned int type,
		      unsigned int on)
{
	struct osq_subscribe request = { .type = type, .on = on };

	say(what, ioctl(fd, OSQ_IOC_SUBSCRIBE, &request));
}

static void unknown_option(int fd)
{
	struct osq_subscribe request = { .type = OSQ_TYPE_FORK,
					 .on = 1,
					 .options = 1u << 31 };

	say("unknown_option", ioctl(fd, OSQ_IOC_SUBSCRIBE, &request));
}

static void notify(int fd, const char *what, unsigned int bytes,
		   unsigned int latency_ms)
{
	struct osq_notify request = { .watermark_bytes = bytes,
				      .latency_ms = latency_ms };

	say(what, ioctl(fd, OSQ_IOC_NOTIFY, &request));
}

static void stats(int fd, const char *what, unsigned int reserved)
{
	struct osq_stats request = { .reserved = reserved };

	say(what, ioctl(fd, OSQ_IOC_STATS, &request));
}

/* A child has the descriptor, and is not the owner. */
static void as_child(int fd)
{
	struct osq_version version;
	int status;

	fflush(stdout);
	if (fork() == 0)
		_exit(ioctl(fd, OSQ_IOC_VERSION, &version) ? errno : 0);
	wait(&status);
	errno = WEXITSTATUS(status);
	say("ioctl_of_child", errno != 0);
}

static int storm(char *self, long count)
{
	char *const arguments[] = { self, "exit", NULL };
	int status = 0;
	pid_t child;

	while (count-- > 0 && !status) {
		status = posix_spawn(&child, "/proc/self/exe", NULL, NULL,
				     arguments, NULL);
		if (!status && waitpid(child, &status, 0) != child)
			status = errno;
	}
	return status ? 1 : 0;
}

static void misuse(void)
{
	int fd = open(OSQ_DEVICE, O_RDWR | O_CLOEXEC);

	say("open", fd < 0);
	if (fd >= 0) {
		say("second_open", open(OSQ_DEVICE, O_RDWR | O_CLOEXEC) < 0);
		say("unknown_ioctl", ioctl(fd, _IO('q', 99)));
		say("null_argument", ioctl(fd, OSQ_IOC_VERSION, NULL));
		sync_at(fd, "sync_before_allocate", 1, 0);
		subscribe(fd, "subscribe_before_allocate", OSQ_TYPE_EXEC, 1);
		notify(fd, "notify_before_allocate", 1, 0);
		stats(fd, "stats_before_allocate", 0);
		allocate(fd, "later_abi", OSQ_ABI_VERSION + 1, RING_BYTES);
		allocate(fd, "earlier_abi", OSQ_ABI_VERSION - 1, RING_BYTES);
		allocate(fd, "odd_size", OSQ_ABI_VERSION, RING_BYTES + 1);
		allocate(fd, "tiny_size", OSQ_ABI_VERSION, 4096);
		allocate(fd, "huge_size", OSQ_ABI_VERSION, 1ull << 40);
		allocate(fd, "allocate", OSQ_ABI_VERSION, RING_BYTES);
		allocate(fd, "allocate_again", OSQ_ABI_VERSION, RING_BYTES);
		subscribe(fd, "unknown_type", 30, 1);
		subscribe(fd, "type_out_of_range", OSQ_TYPE_COUNT, 1);
		unknown_option(fd);
		notify(fd, "notify_nothing", 0, 0);
		notify(fd, "notify_without_latency", 4096, 0);
		notify(fd, "notify_more_than_the_ring", RING_BYTES + 1, 1);
		notify(fd, "notify", 4096, 100);
		stats(fd, "stats_reserved", 1);
		stats(fd, "stats", 0);
		sync_at(fd, "old_generation", 0, 0);
		map(fd, "map_writable", 2 * RING_BYTES, PROT_READ | PROT_WRITE);
		map(fd, "map_short", RING_BYTES, PROT_READ);
		map(fd, "map", 2 * RING_BYTES, PROT_READ);
		as_child(fd);
	}
	puts("}");
}

static int open_ring(const char *what, int flags)
{
	struct osq_allocate request = {
		.abi = OSQ_ABI_VERSION,
		.ring_bytes = RING_BYTES,
	};
	int fd = open(OSQ_DEVICE, O_RDWR | flags);

	say(what, fd < 0 || ioctl(fd, OSQ_IOC_ALLOCATE, &request));
	return fd;
}

static unsigned int allocate_again(int fd)
{
	struct osq_allocate request = {
		.abi = OSQ_ABI_VERSION,
		.ring_bytes = RING_BYTES,
	};

	say("owner_allocate", ioctl(fd, OSQ_IOC_ALLOCATE, &request));
	return request.generation;
}

/* This process, with another program, has the pid but is not the owner. */
static void become_heir(char *self, int fd)
{
	char number[16];
	char *const arguments[] = { self, "heir", number, NULL };

	snprintf(number, sizeof(number), "%d", fd);
	fflush(stdout);
	execv("/proc/self/exe", arguments);
	say("exec", 1);
}

/* A child's call costs the queue; the owner hears of it and starts anew. */
static void owners(char *self)
{
	int fd = open_ring("open", 0);
	unsigned int generation;

	subscribe(fd, "subscribe", OSQ_TYPE_EXEC, 1);
	as_child(fd);
	sync_at(fd, "owner_sync", 1, 0);
	subscribe(fd, "owner_subscribe", OSQ_TYPE_EXEC, 1);
	map(fd, "owner_map", 2 * RING_BYTES, PROT_READ);
	generation = allocate_again(fd);
	sync_at(fd, "old_generation", generation - 1, 0);
	sync_at(fd, "new_generation", generation, 0);
	map(fd, "new_map", 2 * RING_BYTES, PROT_READ);
	subscribe(fd, "new_subscribe", OSQ_TYPE_EXEC, 1);
	become_heir(self, fd);
}

static void heir(int fd)
{
	struct osq_version version;

	first = 0;
	say("heir_ioctl", ioctl(fd, OSQ_IOC_VERSION, &version));
	say("open_beside_heir", open(OSQ_DEVICE, O_RDWR | O_CLOEXEC) < 0);
	close(fd);
	say("open_after_heir", open(OSQ_DEVICE, O_RDWR | O_CLOEXEC) < 0);
	puts("}");
}

/* The child that is left reads from a pipe until its parent's parent ends. */
static void orphan(void)
{
	int ends[2];
	char byte;

	if (pipe(ends))
		return;
	fflush(stdout);
	if (fork() == 0) {
		int fd = open_ring("open", 0);

		subscribe(fd, "subscribe", OSQ_TYPE_EXEC, 1);
		if (fork() == 0) {
			close(ends[1]);
			_exit(read(ends[0], &byte, 1) != 0);
		}
		_exit(0);
	}
	wait(NULL);
	first = 0;
	open_ring("open_after_owner", O_CLOEXEC);
	puts("}");
}

static void print_caps(const char *device)
{
	struct osq_caps caps = { 0 };
	int fd = open(device, O_RDWR | O_CLOEXEC);

	say("caps", fd < 0 || ioctl(fd, OSQ_IOC_CAPS, &caps));
	printf(",\"abi\":%u,\"types\":%llu,\"missing\":%llu,\"flags\":%u}\n",
	       caps.abi, (unsigned long long)caps.types,
	       (unsigned long long)caps.missing, caps.flags);
}

int main(int argc, char **argv)
{
	if (argc >= 2 && !strcmp(argv[1], "caps"))
		print_caps(argc == 3 ? argv[2] : OSQ_DEVICE);
	if (argc == 3 && !strcmp(argv[1], "storm"))
		return storm(argv[0], atol(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "heir"))
		heir(atoi(argv[2]));
	if (argc == 2 && !strcmp(argv[1], "owners"))
		owners(argv[0]);
	if (argc == 2 && !strcmp(argv[1], "orphan"))
		orphan();
	if (argc == 1)
		misuse();
	return 0;
}
