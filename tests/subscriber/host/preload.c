// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * preload.c - carry a program's use of one path to osqhostd; see osqhost.h.
 *
 * The path is the value of OSQHOST_SOCKET. One descriptor of it at a time,
 * used by one thread at a time, as libosq asks for.
 *
 * The program's calendar is ahead by the number of seconds, an int64_t, that
 * the file OSQHOST_CLOCK begins with. A test may change it at any time.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "osqhost.h"

static struct {
	int ready; /* what the program holds */
	int server;
} opened = { -1, -1 };

#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		NEXT(close)(fd);
		return -1;
	}
	return fd;
}

/* Returns the server's word; a descriptor that came along goes to @passed. */
static int ask(struct osqhost_packet *packet, int *passed)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec bytes = { packet, sizeof(*packet) };
	struct msghdr message = {
		.msg_iov = &bytes,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *head;

	if (send(opened.server, packet, sizeof(*packet), MSG_NOSIGNAL) < 0 ||
	    recvmsg(opened.server, &message, MSG_CMSG_CLOEXEC) <= 0)
		return -ENODEV;
	head = CMSG_FIRSTHDR(&message);
	if (passed && head)
		memcpy(passed, CMSG_DATA(head), sizeof(*passed));
	return packet->err;
}

static int open_host(const char *path)
{
	struct osqhost_packet packet = { .op = OSQHOST_OPEN };
	int ready = -1, err;

	opened.server = connect_to(path);
	if (opened.server < 0)
		return -1;
	err = ask(&packet, &ready);
	if (err) {
		NEXT(close)(opened.server);
		opened.server = -1;
		errno = -err;
		return -1;
	}
	opened.ready = ready;
	return ready;
}

int open(const char *path, int flags, ...)
{
	const char *ours = getenv("OSQHOST_SOCKET");
	va_list rest;
	mode_t mode;

	va_start(rest, flags);
	mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
	va_end(rest);
	if (ours && !strcmp(path, ours))
		return open_host(path);
	return NEXT(open)(path, flags, mode);
}

int close(int fd)
{
	if (fd >= 0 && fd == opened.ready) {
		NEXT(close)(opened.server);
		opened.server = -1;
		opened.ready = -1;
	}
	return NEXT(close)(fd);
}

int ioctl(int fd, unsigned long request, ...)
{
	struct osqhost_packet packet = {
		.op = OSQHOST_IOCTL,
		.code = (uint32_t)request,
	};
	size_t bytes = _IOC_SIZE(request);
	void *argument;
	va_list rest;
	uint64_t told;
	int err;

	va_start(rest, request);
	argument = va_arg(rest, void *);
	va_end(rest);
	if (fd < 0 || fd != opened.ready)
		return NEXT(ioctl)(fd, request, argument);
	if (request == OSQ_IOC_SYNC && read(opened.ready, &told, sizeof(told)))
		packet.reserved = 0; /* told or not: this call looks itself */
	memcpy(&packet.body, argument, bytes);
	err = ask(&packet, NULL);
	if (err) {
		errno = -err;
		return -1;
	}
	memcpy(argument, &packet.body, bytes);
	return 0;
}

void *mmap(void *at, size_t length, int protection, int flags, int fd,
	   off_t offset)
{
	struct osqhost_packet packet = { .op = OSQHOST_MMAP };
	size_t half = length / 2;
	int memory = -1, i, err;
	char *map;

	if (fd < 0 || fd != opened.ready)
		return NEXT(mmap)(at, length, protection, flags, fd, offset);
	packet.body.map_bytes = length;
	err = ask(&packet, &memory);
	if (err) {
		errno = -err;
		return MAP_FAILED;
	}
	map = NEXT(mmap)(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	for (i = 0; map != MAP_FAILED && i < 2; i++)
		if (NEXT(mmap)(map + (size_t)i * half, half, PROT_READ,
			       MAP_SHARED | MAP_FIXED, memory, 0) == MAP_FAILED)
			map = MAP_FAILED;
	NEXT(close)(memory);
	return map;
}

static const volatile int64_t *ahead_s;

__attribute__((constructor)) static void map_clock(void)
{
	const char *path = getenv("OSQHOST_CLOCK");
	int fd = path ? NEXT(open)(path, O_RDONLY | O_CLOEXEC) : -1;
	void *map;

	if (fd < 0)
		return;
	map = NEXT(mmap)(NULL, sizeof(*ahead_s), PROT_READ, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		ahead_s = map;
	NEXT(close)(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int err = NEXT(clock_gettime)(clock, now);

	if (!err && clock == CLOCK_REALTIME && ahead_s)
		now->tv_sec += *ahead_s;
	return err;
}

/* The names that a program with _FILE_OFFSET_BITS=64 asks for; one ABI here. */
_Static_assert(sizeof(off_t) == sizeof(off64_t), "a 64-bit system");
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
void *mmap64(void *at, size_t length, int protection, int flags, int fd,
	     off64_t offset) __attribute__((alias("mmap")));
