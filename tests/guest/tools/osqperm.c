// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqperm.c - a scanner that is slow to answer.
 *
 *	osqperm WHAT MARK FOLDER HELD ANSWER
 *
 * Is asked by fanotify before files are used: opened ("open"), read
 * ("access") or executed ("exec"), on the whole mount or file system of FOLDER
 * or in FOLDER itself (MARK is "mount", "filesystem" or "folder"). It allows
 * everything at once, except for a file named HELD: that has to wait until
 * the file ANSWER is there. Says "ready", "holding" and "answered".
 *
 *	osqperm notice FILE
 *
 * Asks inotify for the changes of FILE, without opening it, until killed. Says
 * "ready".
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <unistd.h>

#define POLL_MS 50

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void say(const char *what)
{
	puts(what);
	fflush(stdout);
}

static void allow(int listener, int fd)
{
	struct fanotify_response answer = { .fd = fd, .response = FAN_ALLOW };

	if (write(listener, &answer, sizeof(answer)) != sizeof(answer))
		fail("answer");
	close(fd);
}

static int is_named(int fd, const char *name)
{
	char link[64], path[4096];
	const char *last;
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	path[len > 0 ? len : 0] = 0;
	last = strrchr(path, '/');
	return last && !strcmp(last + 1, name);
}

static int listen_to(const char *what, const char *mark, const char *folder)
{
	int listener = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC,
				     O_RDONLY | O_CLOEXEC);
	unsigned int flags = FAN_MARK_ADD;
	uint64_t mask = FAN_EVENT_ON_CHILD | FAN_OPEN_PERM;

	if (!strcmp(what, "access"))
		mask = FAN_EVENT_ON_CHILD | FAN_ACCESS_PERM;
	else if (!strcmp(what, "exec"))
		mask = FAN_EVENT_ON_CHILD | FAN_OPEN_EXEC_PERM;
	if (!strcmp(mark, "mount"))
		flags |= FAN_MARK_MOUNT;
	else if (!strcmp(mark, "filesystem"))
		flags |= FAN_MARK_FILESYSTEM;
	if (strcmp(mark, "folder"))
		mask &= ~(uint64_t)FAN_EVENT_ON_CHILD;
	if (listener < 0 ||
	    fanotify_mark(listener, flags, mask, AT_FDCWD, folder))
		fail("fanotify");
	return listener;
}

/* Return: the descriptor of the file that has to wait, or @held. */
static int take_events(int listener, const char *name, int held)
{
	struct fanotify_event_metadata events[64], *one = events;
	ssize_t bytes = read(listener, events, sizeof(events));

	if (bytes < 0)
		fail("read");
	for (; FAN_EVENT_OK(one, bytes); one = FAN_EVENT_NEXT(one, bytes)) {
		if (held < 0 && is_named(one->fd, name)) {
			held = one->fd;
			say("holding");
		} else {
			allow(listener, one->fd);
		}
	}
	return held;
}

static _Noreturn void notice(const char *file)
{
	if (inotify_add_watch(inotify_init1(IN_CLOEXEC), file, IN_MODIFY) < 0)
		fail("inotify");
	say("ready");
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	struct pollfd asked = { .events = POLLIN };
	int held = -1;

	if (argc == 3 && !strcmp(argv[1], "notice"))
		notice(argv[2]);
	if (argc != 6)
		return 2;
	asked.fd = listen_to(argv[1], argv[2], argv[3]);
	say("ready");
	for (;;) {
		if (held >= 0 && !access(argv[5], F_OK)) {
			allow(asked.fd, held);
			say("answered");
			return 0;
		}
		if (poll(&asked, 1, POLL_MS) > 0)
			held = take_events(asked.fd, argv[4], held);
	}
}
