// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqchaos.c - random calls on the device, thousands of sequences of them.
 *
 *	osqchaos COUNT SEED [DEVICE]
 *
 * Opens, ioctls with random and half-right arguments, mappings of any length
 * and protection, forks that use the parent's descriptor, closes, dup2,
 * reads of the mapping. Nothing may crash; the driver's counters must obey
 * the equations of osq.h whenever a SYNC or STATS works, and osq.h must list
 * every errno. Prints how often each call worked and failed, as JSON. An
 * ordinary user must get EACCES from every call; anything else is a fault.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libosq.h"

#define DESCRIPTORS 4
#define MAPS 4

struct map {
	void *at;
	size_t bytes;
};

enum call {
	OPEN,
	CLOSE,
	DUP,
	IOCTL,
	SYNC,
	MAP,
	UNMAP,
	READ,
	FORK,
	CALLS,
};

static const char *const names[CALLS] = { "open",  "close", "dup",
					  "ioctl", "sync",  "map",
					  "unmap", "read",  "fork" };
static unsigned long long worked[CALLS], refused[CALLS];
static int descriptors[DESCRIPTORS];
static struct map maps[MAPS];
static unsigned int generation;
static unsigned long long max_pos, seed;
static const char *device = OSQ_DEVICE;

static unsigned long long any(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static unsigned int below(unsigned int bound)
{
	return (unsigned int)(any() >> 11) % bound;
}

static void give_up(const char *what)
{
	printf("{\"fault\":\"%s\",\"errno\":%d}\n", what, errno);
	exit(1);
}

/* Count a call; an errno that the protocol does not have is a fault. */
static void note(enum call call, int failed)
{
	static const int allowed[] = {
		EBUSY,	EPERM,	EACCES,	    ENXIO,  ESTALE, EINVAL, EPROTO,
		EEXIST, ENOTTY, EOPNOTSUPP, EAGAIN, EFAULT, ENOMEM, EBADF,
	};
	size_t i;

	if (!failed) {
		worked[call]++;
		return;
	}
	refused[call]++;
	for (i = 0; i < sizeof(allowed) / sizeof(*allowed); i++)
		if (errno == allowed[i])
			return;
	give_up(names[call]);
}

static void do_open(void)
{
	int *slot = &descriptors[below(DESCRIPTORS)];
	static const int flags[] = { O_RDWR, O_RDONLY, O_RDWR | O_NONBLOCK };

	if (*slot >= 0)
		return;
	*slot = open(device, flags[below(3)] | O_CLOEXEC);
	note(OPEN, *slot < 0);
	if (*slot >= 0 && geteuid())
		give_up("opened by an ordinary user");
}

static void do_close(void)
{
	int *slot = &descriptors[below(DESCRIPTORS)];

	if (*slot >= 0)
		note(CLOSE, close(*slot));
	*slot = -1;
}

static void do_dup(void)
{
	int *to = &descriptors[below(DESCRIPTORS)];
	int from = descriptors[below(DESCRIPTORS)];

	if (*to >= 0 || from < 0)
		return;
	*to = dup(from);
	note(DUP, *to < 0);
}

union argument {
	struct osq_allocate allocate;
	struct osq_subscribe subscribe;
	struct osq_notify notify;
	struct osq_caps caps;
	struct osq_stats stats;
	struct osq_filter filter;
	struct osq_share share;
	unsigned long long words[sizeof(struct osq_filter) / 8 + 1];
};

/* Mostly right, so that the ring gets alive. */
static void make_right(unsigned long command, union argument *argument)
{
	static const unsigned int sizes[] = { 8192, 65536, 12345, 0 };

	if (command == OSQ_IOC_ALLOCATE) {
		argument->allocate.abi = OSQ_ABI_VERSION;
		argument->allocate.reserved = 0;
		argument->allocate.ring_bytes = sizes[below(4)];
	} else if (command == OSQ_IOC_SUBSCRIBE) {
		argument->subscribe.type = below(10);
		/* To hook sockets takes an emulator seconds: rarely. */
		if (argument->subscribe.type == OSQ_TYPE_SOCKET && below(5))
			argument->subscribe.type = OSQ_TYPE_EXEC;
		argument->subscribe.on = below(2);
		argument->subscribe.options = below(2);
	} else if (command == OSQ_IOC_NOTIFY) {
		argument->notify.watermark_bytes = below(9000);
		argument->notify.latency_ms = below(100);
	} else if (command == OSQ_IOC_SHARE) {
		argument->share.type = below(10);
		argument->share.percent = below(120);
	} else if (command == OSQ_IOC_STATS) {
		argument->stats.reserved = 0;
	} else if (command == OSQ_IOC_FILTER) {
		memset(&argument->filter, 0, 32);
		argument->filter.type = below(10);
		argument->filter.exclude = below(4);
		argument->filter.cgroup_count = below(34);
	}
}

static void do_ioctl(int fd)
{
	static const unsigned long commands[] = {
		OSQ_IOC_ALLOCATE, OSQ_IOC_SUBSCRIBE, OSQ_IOC_NOTIFY,
		OSQ_IOC_CAPS,	  OSQ_IOC_STATS,     OSQ_IOC_VERSION,
		OSQ_IOC_FILTER,	  OSQ_IOC_SHARE,
	};
	unsigned long command = commands[below(8)];
	union argument argument;
	size_t i;
	int failed;

	for (i = 0; i < sizeof(argument) / 8; i++)
		argument.words[i] = below(3) ? 0 : any();
	if (below(8))
		make_right(command, &argument);
	else if (!below(4))
		command = (unsigned long)any();
	failed = ioctl(fd, command, below(50) ? (void *)&argument : (void *)8);
	note(IOCTL, failed);
	if (!failed && command == OSQ_IOC_ALLOCATE)
		generation = argument.allocate.generation;
	if (!failed && command == OSQ_IOC_STATS &&
	    osq_client_broken_stats(&argument.stats))
		give_up(osq_client_broken_stats(&argument.stats));
}

static void do_sync(int fd)
{
	struct osq_sync sync = {
		.generation = below(10) ? generation : (unsigned int)any(),
		.flags = below(20) ? 0 : (unsigned int)any() & ~OSQ_SYNC_WAIT,
		.read_pos = below(3) ? max_pos : any() % (max_pos + 64),
	};
	int failed = ioctl(fd, OSQ_IOC_SYNC, &sync);

	note(SYNC, failed);
	if (failed) {
		max_pos = below(2) ? max_pos : 0;
		return;
	}
	max_pos = sync.max_pos;
	if (osq_client_broken_law(&sync))
		give_up(osq_client_broken_law(&sync));
}

static void do_map(int fd)
{
	static const size_t lengths[] = { 16384, 131072, 8192, 4096, 1 };
	static const int ways[] = { MAP_SHARED, MAP_SHARED, MAP_PRIVATE };
	struct map *map = &maps[below(MAPS)];
	int protection = below(5) ? PROT_READ : (int)below(8);
	int shared = ways[below(3)];

	if (map->at)
		return;
	map->bytes = lengths[below(5)];
	map->at = mmap(NULL, map->bytes, protection, shared, fd,
		       below(10) ? 0 : 4096);
	note(MAP, map->at == MAP_FAILED);
	if (map->at == MAP_FAILED) {
		map->at = NULL;
		return;
	}
	if (protection & PROT_WRITE)
		give_up("a writable mapping");
	if (!mprotect(map->at, map->bytes, PROT_READ | PROT_WRITE))
		give_up("a mapping that became writable");
	if (!(protection & PROT_READ))
		mprotect(map->at, map->bytes, PROT_READ);
}

static void do_unmap(void)
{
	struct map *map = &maps[below(MAPS)];

	if (map->at)
		note(UNMAP, munmap(map->at, map->bytes));
	map->at = NULL;
}

/* A mapping outlives ring, queue and owner: its bytes are there to the end. */
static void do_read(void)
{
	const struct map *map = &maps[below(MAPS)];
	volatile unsigned char *bytes = map->at;
	unsigned int sum = 0;
	size_t at;

	if (!map->at)
		return;
	for (at = 0; at < map->bytes; at += 4096)
		sum += bytes[at];
	note(READ, sum > ~0u - 1);
}

static void do_call(int fd)
{
	if (below(2))
		do_sync(fd);
	else if (below(2))
		do_ioctl(fd);
	else
		do_map(fd);
}

static void do_fork(int fd)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return;
	if (!child) {
		unsigned int calls = below(4);

		while (calls--)
			do_call(fd);
		_exit(0);
	}
	waitpid(child, &status, 0);
	note(FORK, 0);
	if (status)
		give_up("a child died");
}

static void step(void)
{
	int fd = descriptors[below(DESCRIPTORS)];
	unsigned int dice = below(100);

	if (dice < 8)
		do_open();
	else if (dice < 12)
		do_close();
	else if (dice < 15)
		do_dup();
	else if (dice < 20)
		do_unmap();
	else if (dice < 30)
		do_read();
	else if (fd < 0)
		return;
	else if (dice < 31)
		do_fork(fd);
	else
		do_call(fd);
}

int main(int argc, char **argv)
{
	unsigned long long count;
	int i;

	if (argc < 3)
		return 2;
	count = strtoull(argv[1], NULL, 0);
	seed = strtoull(argv[2], NULL, 0) * 2 + 1;
	if (argc > 3)
		device = argv[3];
	for (i = 0; i < DESCRIPTORS; i++)
		descriptors[i] = -1;
	while (count--)
		step();
	printf("{\"fault\":\"\"");
	for (i = 0; i < CALLS; i++)
		printf(",\"%s\":[%llu,%llu]", names[i], worked[i], refused[i]);
	puts("}");
	return 0;
}
