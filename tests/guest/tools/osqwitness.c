// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqwitness.c - what the kernel's process connector says of forks, execs
 * and exits: a witness that knows nothing of our driver.
 *
 * Prints "ready", then a line an event: fork PARENT_PID CHILD_PID CHILD_TID,
 * exec PID TID, exit PID TID STATUS; on SIGTERM what comes within 2 seconds,
 * then "end".
 * Losing one is an error: a witness that slept is none.
 */
#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_BYTES (64 << 20)
/*
 * The connector tells of an exit after the parent has been told, so the last
 * child's may still be on its way when whoever waited for it ends us.
 */
#define LAST_MS 2000

struct order {
	struct nlmsghdr head;
	struct __attribute__((packed)) {
		struct cn_msg message;
		enum proc_cn_mcast_op what;
	};
};

static int subscribe(int fd)
{
	struct order order = {
		.head = { .nlmsg_len = sizeof(order),
			  .nlmsg_type = NLMSG_DONE,
			  .nlmsg_pid = (__u32)getpid() },
		.message = { .id = { CN_IDX_PROC, CN_VAL_PROC },
			     .len = sizeof(enum proc_cn_mcast_op) },
		.what = PROC_CN_MCAST_LISTEN,
	};

	return send(fd, &order, sizeof(order), 0) < 0 ? -1 : 0;
}

static void print(const struct proc_event *event)
{
	switch (event->what) {
	case PROC_EVENT_FORK:
		printf("fork %d %d %d\n", event->event_data.fork.parent_tgid,
		       event->event_data.fork.child_tgid,
		       event->event_data.fork.child_pid);
		break;
	case PROC_EVENT_EXEC:
		printf("exec %d %d\n", event->event_data.exec.process_tgid,
		       event->event_data.exec.process_pid);
		break;
	case PROC_EVENT_EXIT:
		printf("exit %d %d %u\n", event->event_data.exit.process_tgid,
		       event->event_data.exit.process_pid,
		       event->event_data.exit.exit_code);
		break;
	default:
		break;
	}
}

/* Returns 1 when there was a message, 0 when not, -1 when one was lost. */
static int receive(int fd)
{
	char buffer[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t got = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
	struct nlmsghdr *head = (struct nlmsghdr *)buffer;
	int left = (int)got;

	if (got < 0)
		return errno == EAGAIN ? 0 : -1;
	for (; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
		const struct cn_msg *message = NLMSG_DATA(head);

		print((const struct proc_event *)message->data);
	}
	return 1;
}

static int receive_all(int fd)
{
	int got;

	do {
		got = receive(fd);
	} while (got == 1);
	return got;
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int follow(int fd, int signals)
{
	struct pollfd ready[] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
	};
	long left_ms, end_ms;
	int got = 0;

	while (!got && !ready[1].revents) {
		poll(ready, 2, -1);
		got = receive_all(fd);
	}
	end_ms = now_ms() + LAST_MS;
	while (!got && (left_ms = end_ms - now_ms()) > 0) {
		poll(ready, 1, (int)left_ms);
		got = receive_all(fd);
	}
	return got;
}

int main(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK,
				       .nl_groups = CN_IDX_PROC,
				       .nl_pid = (__u32)getpid() };
	int fd = socket(PF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC,
			NETLINK_CONNECTOR);
	int bytes = QUEUE_BYTES;
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    subscribe(fd)) {
		perror("osqwitness");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	if (follow(fd, signalfd(-1, &ends, SFD_CLOEXEC))) {
		perror("osqwitness: lost an event");
		return 1;
	}
	puts("end");
	return 0;
}
