/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * osqnet.h - calls on sockets that are logged by whoever makes them: a
 * witness that knows nothing of our driver.
 *
 * A line of JSON a call, on standard output: what was called, by whom, its
 * errno, and what the kernel itself then says of the socket (SO_COOKIE,
 * SO_DOMAIN, SO_TYPE, SO_PROTOCOL, getsockname, getpeername, TCP_INFO).
 * Addresses are the hexadecimal bytes of the struct sockaddr.
 */
#ifndef OSQNET_H
#define OSQNET_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_storage room;
	};
	socklen_t bytes; /* 0: none */
};

struct net {
	int fd;
	struct address peer; /* whom it was last connected to */
};

struct address address_ip(int family, const char *text, unsigned int port);
/* @bytes: of @name, which may hold NULs. */
struct address address_unix(const char *name, size_t bytes);
struct address address_of(const struct net *net);

/* Each logs, leaves errno, and returns 0 or -1. */
int net_open(struct net *net, int family, int type);
int net_bind(struct net *net, const struct address *to);
int net_listen(struct net *net, int backlog);
int net_connect(struct net *net, const struct address *to);
int net_accept(const struct net *listener, struct net *net);
int net_close(struct net *net);
/* Wait until a connect in progress is over, and log how it ended. */
int net_outcome(const struct net *net, int deadline_ms);

/* Log a call that was made in another way, or will be made by the kernel. */
void net_said(const char *call, const struct net *net, int error,
	      const struct address *asked, int backlog);

/* osqnet_uring.c - the same by io_uring, and a close by its worker. */
int scene_uring(void);

/* osqnet_cases.c - what goes wrong, and what takes its time. */
int scene_cases(void);
int scene_crowd(long count);
int scene_bind(unsigned int port, unsigned int uid);

#endif
