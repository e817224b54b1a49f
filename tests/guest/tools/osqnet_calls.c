// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* osqnet_calls.c - the logged calls; see osqnet.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "osqnet.h"

struct address address_ip(int family, const char *text, unsigned int port)
{
	struct address made = { 0 };
	struct sockaddr_in *in4 = (void *)&made.room;
	struct sockaddr_in6 *in6 = (void *)&made.room;

	if (family == AF_INET) {
		in4->sin_port = htons((uint16_t)port);
		inet_pton(AF_INET, text, &in4->sin_addr);
		made.bytes = sizeof(*in4);
	} else {
		in6->sin6_port = htons((uint16_t)port);
		inet_pton(AF_INET6, text, &in6->sin6_addr);
		made.bytes = sizeof(*in6);
	}
	made.any.sa_family = (sa_family_t)family;
	return made;
}

struct address address_unix(const char *name, size_t bytes)
{
	struct address made = { 0 };
	struct sockaddr_un *un = (void *)&made.room;

	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, name, bytes);
	made.bytes =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
	return made;
}

struct address address_of(const struct net *net)
{
	struct address made = { .bytes = sizeof(made.room) };

	if (getsockname(net->fd, &made.any, &made.bytes))
		made.bytes = 0;
	return made;
}

static struct address peer_of(const struct net *net)
{
	struct address made = { .bytes = sizeof(made.room) };

	if (getpeername(net->fd, &made.any, &made.bytes))
		made.bytes = 0;
	return made;
}

static int number_of(const struct net *net, int option)
{
	int value = 0;
	socklen_t bytes = sizeof(value);

	getsockopt(net->fd, SOL_SOCKET, option, &value, &bytes);
	return value;
}

static uint64_t cookie_of(const struct net *net)
{
	uint64_t value = 0;
	socklen_t bytes = sizeof(value);

	getsockopt(net->fd, SOL_SOCKET, SO_COOKIE, &value, &bytes);
	return value;
}

static char *put_hex(char *to, const char *name, const struct address *address)
{
	const unsigned char *from = (const unsigned char *)&address->room;
	socklen_t at;

	to += sprintf(to, ",\"%s\":\"", name);
	for (at = 0; at < address->bytes; at++)
		to += sprintf(to, "%02x", from[at]);
	return to + sprintf(to, "\"");
}

/* A line is put together first: a thread's may not be torn by another's. */
static void say(const char *call, const struct net *net, int error,
		const struct address *asked, int backlog)
{
	const struct address none = { .bytes = 0 };
	const struct address own = address_of(net);
	struct address peer = peer_of(net);
	struct tcp_info info = { 0 };
	socklen_t bytes = sizeof(info);
	char line[2048], *to = line;

	if (number_of(net, SO_PROTOCOL) != IPPROTO_TCP ||
	    getsockopt(net->fd, IPPROTO_TCP, TCP_INFO, &info, &bytes))
		memset(&info, 0, sizeof(info));
	if (!peer.bytes)
		peer = net->peer;
	to += sprintf(to,
		      "{\"call\":\"%s\",\"pid\":%d,\"tid\":%ld,\"uid\":%d,"
		      "\"error\":%d,\"backlog\":%d,\"cookie\":%llu,"
		      "\"family\":%d,\"socktype\":%d,\"protocol\":%d,"
		      "\"acked_bytes\":%llu,\"received_bytes\":%llu",
		      call, getpid(), syscall(SYS_gettid), getuid(), error,
		      backlog, (unsigned long long)cookie_of(net),
		      number_of(net, SO_DOMAIN), number_of(net, SO_TYPE),
		      number_of(net, SO_PROTOCOL),
		      (unsigned long long)info.tcpi_bytes_acked,
		      (unsigned long long)info.tcpi_bytes_received);
	to = put_hex(to, "local", &own);
	to = put_hex(to, "peer", &peer);
	to = put_hex(to, "asked", asked ? asked : &none);
	strcpy(to, "}\n");
	fputs(line, stdout);
}

void net_said(const char *call, const struct net *net, int error,
	      const struct address *asked, int backlog)
{
	say(call, net, error, asked, backlog);
	errno = error;
}

int net_open(struct net *net, int family, int type)
{
	*net = (struct net){ .fd = socket(family, type | SOCK_CLOEXEC, 0) };
	return net->fd < 0 ? -1 : 0;
}

int net_bind(struct net *net, const struct address *to)
{
	int error = bind(net->fd, &to->any, to->bytes) ? errno : 0;

	net_said("bind", net, error, to, 0);
	return error ? -1 : 0;
}

int net_listen(struct net *net, int backlog)
{
	int error = listen(net->fd, backlog) ? errno : 0;

	net_said("listen", net, error, NULL, backlog);
	return error ? -1 : 0;
}

int net_connect(struct net *net, const struct address *to)
{
	int error = connect(net->fd, &to->any, to->bytes) ? errno : 0;

	if (!error)
		net->peer = peer_of(net);
	else if (error == EINPROGRESS || error == EINTR)
		net->peer = *to;
	net_said("connect", net, error, to, 0);
	return error ? -1 : 0;
}

int net_accept(const struct net *listener, struct net *net)
{
	*net = (struct net){ .fd = accept4(listener->fd, NULL, NULL,
					   SOCK_CLOEXEC) };
	if (net->fd < 0)
		return -1;
	net->peer = peer_of(net);
	net_said("accept", net, 0, NULL, 0);
	return 0;
}

/* What there is to say of a socket is to be said before. */
int net_close(struct net *net)
{
	net_said("close", net, 0, NULL, 0);
	return close(net->fd);
}

int net_outcome(const struct net *net, int deadline_ms)
{
	struct pollfd ready = { .fd = net->fd, .events = POLLOUT };

	if (poll(&ready, 1, deadline_ms) != 1)
		return -1;
	net_said("outcome", net, number_of(net, SO_ERROR), NULL, 0);
	return 0;
}
