// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqnet_cases.c - calls that fail, that take long, and names of all kinds;
 * each once. What they come to is for the log; only what cannot be made to
 * happen at all is an error.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "osqnet.h"

#define OUTCOME_MS 60000

static const struct address nobody = { .any.sa_family = AF_UNSPEC,
				       .bytes = sizeof(struct sockaddr) };

static struct address loopback(int family, unsigned int port)
{
	return address_ip(family, family == AF_INET ? "127.0.0.1" : "::1",
			  port);
}

static struct net opened(int family, int type)
{
	struct net net;

	if (net_open(&net, family, type))
		perror("osqnet: socket");
	return net;
}

static struct net bound(int family, int type)
{
	struct net net = opened(family, type);
	struct address at = loopback(family, 0);

	net_bind(&net, &at);
	return net;
}

static void connect_once(int family, int type, const struct address *to)
{
	struct net net = opened(family, type);

	net_connect(&net, to);
	net_close(&net);
}

/* A connect that does not wait, and what becomes of it. */
static void connect_later(int family, const struct address *to)
{
	struct net net = opened(family, SOCK_STREAM | SOCK_NONBLOCK);

	net_connect(&net, to);
	net_outcome(&net, OUTCOME_MS);
	net_close(&net);
}

/* Nobody listens there, but it is taken; so the answer is a reset. */
static void refused(int family)
{
	struct net taken = bound(family, SOCK_STREAM);
	struct address at = address_of(&taken);
	struct net again = opened(family, SOCK_STREAM);

	connect_once(family, SOCK_STREAM, &at);
	connect_later(family, &at);
	net_bind(&again, &at);
	net_close(&again);
	net_bind(&taken, &at);
	net_close(&taken);
}

static void accepted_later(int family)
{
	struct net listener = bound(family, SOCK_STREAM), net;
	struct address at;

	net_listen(&listener, 4);
	at = address_of(&listener);
	connect_later(family, &at);
	if (!net_accept(&listener, &net))
		net_close(&net);
	net_close(&listener);
}

/* The test has made routes on which nothing can be sent. */
static void unreachable(void)
{
	struct address in4 = address_ip(AF_INET, "203.0.113.1", 9);
	struct address in6 = address_ip(AF_INET6, "2001:db8::1", 9);
	struct address all = address_ip(AF_INET, "255.255.255.255", 9);
	struct address foreign = address_ip(AF_INET, "192.0.2.1", 0);
	struct net net = opened(AF_INET, SOCK_STREAM);

	connect_once(AF_INET, SOCK_STREAM, &in4);
	connect_once(AF_INET6, SOCK_STREAM, &in6);
	connect_once(AF_INET, SOCK_DGRAM, &in4);
	connect_once(AF_INET6, SOCK_DGRAM, &in6);
	connect_once(AF_INET, SOCK_DGRAM, &all);
	net_bind(&net, &foreign);
	net_close(&net);
}

static void datagrams(int family)
{
	struct net one = bound(family, SOCK_DGRAM);
	struct net other = bound(family, SOCK_DGRAM);
	struct net net = opened(family, SOCK_DGRAM);
	struct address first = address_of(&one), second = address_of(&other);

	net_connect(&net, &first);
	net_connect(&net, &second);
	net_connect(&net, &nobody);
	net_connect(&net, &first);
	net_close(&net);
	net_close(&other);
	net_close(&one);
}

/* A socket of IPv6 that speaks IPv4, connected once too often. */
static void mapped(void)
{
	struct net listener = bound(AF_INET, SOCK_STREAM);
	struct net client = opened(AF_INET6, SOCK_STREAM), net;
	struct address at = address_of(&listener);
	unsigned int port = ntohs(((struct sockaddr_in *)&at.room)->sin_port);

	net_listen(&listener, 4);
	at = address_ip(AF_INET6, "::ffff:127.0.0.1", port);
	net_connect(&client, &at);
	net_connect(&client, &at);
	if (!net_accept(&listener, &net))
		net_close(&net);
	net_close(&client);
	net_close(&listener);
}

static void named(int type, const char *name, size_t bytes)
{
	struct net server = opened(AF_UNIX, type), client, net;
	struct net again = opened(AF_UNIX, type);
	struct address at = address_unix(name, bytes);

	net_bind(&server, &at);
	net_bind(&again, &at);
	net_close(&again);
	connect_once(AF_UNIX, type, &at);
	if (type != SOCK_DGRAM) {
		net_listen(&server, 4);
		client = opened(AF_UNIX, type);
		net_connect(&client, &at);
		if (!net_accept(&server, &net))
			net_close(&net);
		net_close(&client);
	}
	net_close(&server);
}

static void names(void)
{
	static const char odd[] = "osqnet \"\\\n\xff\xc3\xa9";
	struct address gone = address_unix("osqnet.gone", 12);
	struct address any = { .any.sa_family = AF_UNIX,
			       .bytes = sizeof(sa_family_t) };
	struct net net = opened(AF_UNIX, SOCK_STREAM);
	char longest[108];

	memset(longest, 'x', sizeof(longest));
	named(SOCK_STREAM, "osqnet.stream", 14);
	named(SOCK_SEQPACKET, "osqnet.seqpacket", 16);
	named(SOCK_DGRAM, "osqnet.dgram", 13);
	named(SOCK_STREAM, odd, sizeof(odd));
	named(SOCK_STREAM, longest, sizeof(longest));
	named(SOCK_STREAM, "\0osqnet\0abstract", 16);
	named(SOCK_DGRAM, "\0osqnet\0dgram", 13);
	connect_once(AF_UNIX, SOCK_STREAM, &gone);
	connect_once(AF_UNIX, SOCK_DGRAM, &gone);
	net_bind(&net, &any);
	net_listen(&net, 1);
	net_close(&net);
}

/* Closed by the last of those who have it, and by an exit. */
static void closed_by_others(void)
{
	struct net kept = bound(AF_INET, SOCK_STREAM), raw = { 0 }, pair[2];
	int ends[2], copy = dup(kept.fd);

	close(copy);
	fflush(stdout);
	if (!fork()) {
		struct net own = bound(AF_INET6, SOCK_STREAM);

		net_said("close", &own, 0, NULL, 0);
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	net_close(&kept);
	socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
	pair[0] = (struct net){ .fd = ends[0] };
	pair[1] = (struct net){ .fd = ends[1] };
	net_close(&pair[1]);
	net_close(&pair[0]);
	raw.fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	net_bind(&raw,
		 &(struct address){ .room = loopback(AF_INET, 0).room,
				    .bytes = sizeof(struct sockaddr_in) });
	net_close(&raw);
}

static void on_alarm(int number)
{
	(void)number;
}

/* The call is over, the handshake is not. */
static void interrupted(const struct address *at)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	const struct itimerval soon = { .it_value.tv_usec = 100000 };
	struct net net = opened(AF_INET, SOCK_STREAM);

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	net_connect(&net, at);
	net_close(&net);
}

/* A connect that nobody answers; it gives up 3 s after, or 31 s with FOUR repetitions. */
#define ONCE 1
#define FOUR 4
static struct net slow_to(const struct address *at, int repetitions)
{
	struct net net = opened(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);

	setsockopt(net.fd, IPPROTO_TCP, TCP_SYNCNT, &repetitions,
		   sizeof(repetitions));
	net_connect(&net, at);
	return net;
}

/* A full listener leaves all later connects unanswered. */
static struct address fill(struct net *listener, struct net *filling)
{
	struct address at;

	*listener = bound(AF_INET, SOCK_STREAM);
	net_listen(listener, 0);
	at = address_of(listener);
	*filling = opened(AF_INET, SOCK_STREAM);
	net_connect(filling, &at);
	return at;
}

static void unanswered(struct net *listener, struct net *filling,
		       struct net *slow)
{
	const struct timeval soon = { .tv_usec = 100000 };
	struct net impatient = opened(AF_INET, SOCK_STREAM);
	struct address at = fill(listener, filling);

	*slow = slow_to(&at, ONCE);
	net_connect(slow, &at);
	setsockopt(impatient.fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
	net_connect(&impatient, &at);
	net_close(&impatient);
	interrupted(&at);
}

int scene_cases(void)
{
	struct net listener, filling, slow;

	unanswered(&listener, &filling, &slow);
	refused(AF_INET);
	refused(AF_INET6);
	accepted_later(AF_INET);
	accepted_later(AF_INET6);
	unreachable();
	datagrams(AF_INET);
	datagrams(AF_INET6);
	mapped();
	names();
	closed_by_others();
	if (net_outcome(&slow, OUTCOME_MS))
		return 1;
	net_close(&slow);
	net_close(&filling);
	net_close(&listener);
	return 0;
}

/* All shall be in progress before the first gives up, on a slow machine, too. */
int scene_crowd(long count)
{
	struct net *all = calloc((size_t)count, sizeof(*all));
	struct net listener, filling;
	struct address at = fill(&listener, &filling);
	int failed = !all;
	long one;

	for (one = 0; all && one < count; one++)
		all[one] = slow_to(&at, count > 1000 ? FOUR : ONCE);
	for (one = 0; all && one < count; one++)
		failed |= net_outcome(&all[one], OUTCOME_MS) |
			  net_close(&all[one]);
	free(all);
	return net_close(&filling) | net_close(&listener) | failed;
}

int scene_bind(unsigned int port, unsigned int uid)
{
	struct net net;
	struct address at = loopback(AF_INET, port);

	if (setresuid(uid, uid, uid))
		return 1;
	net = opened(AF_INET, SOCK_STREAM);
	net_bind(&net, &at);
	return net_close(&net);
}
