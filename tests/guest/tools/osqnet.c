// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqnet.c - servers and clients that log each call they make on a socket.
 *
 *	osqnet stream 4|6|u COUNT PAIRS	COUNT connections by each of PAIRS
 *					clients, each with a server of its own,
					or fewer when SIGTERM comes
 *	osqnet dgram 4|6|u COUNT	COUNT connected datagram sockets
 *	osqnet cases			everything that fails or takes long
 *	osqnet crowd COUNT		COUNT connects that nobody answers
 *	osqnet bind PORT UID		one bind, by that user
 *	osqnet blocked COUNT		COUNT connects that wait at once
 *	osqnet uring			the same calls by io_uring
 *
 * Exit status 0 when each call that was expected to work did.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "osqnet.h"

#define MOST_PAIRS 64

/* A server, its one client, and how many connections they have. */
struct pair {
	int family;
	long count;
	struct net listener;
	struct address at;
	atomic_int failed;
};

static int listen_at(struct net *listener, int family, int number, int type)
{
	struct address at;
	char name[32];

	if (family == AF_UNIX) {
		/* An abstract name begins with a NUL, and leaves no file. */
		int bytes =
			sprintf(name, "%cosqnet.%d.%d", 0, getpid(), number);

		at = address_unix(name, (size_t)bytes);
	} else {
		at = address_ip(family, family == AF_INET ? "127.0.0.1" : "::1",
				0);
	}
	return net_open(listener, family, type) || net_bind(listener, &at) ||
	       (type != SOCK_DGRAM && net_listen(listener, 16));
}

/* After SIGTERM each client has its last connection. */
static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	(void)number;
	ended = 1;
}

/*
 * Both know all that was sent before they close: the client has its answer,
 * the server the end, so what TCP has counted stands still. A client's last
 * question is a full stop.
 */
static int serve(struct pair *pair, char *question)
{
	struct net net;
	char byte;
	int failed;

	if (net_accept(&pair->listener, &net))
		return -1;
	failed = read(net.fd, question, 1) != 1 ||
		 write(net.fd, "ok", 2) != 2 || read(net.fd, &byte, 1) != 0;
	return net_close(&net) || failed;
}

static int ask(const struct pair *pair, char question)
{
	char answer[2];
	struct net net;
	int failed;

	if (net_open(&net, pair->family, SOCK_STREAM) ||
	    net_connect(&net, &pair->at))
		return -1;
	failed = write(net.fd, &question, 1) != 1 ||
		 recv(net.fd, answer, 2, MSG_WAITALL) != 2;
	return net_close(&net) || failed;
}

static void *server(void *data)
{
	struct pair *pair = data;
	char question = '?';

	while (question != '.' && !pair->failed)
		pair->failed = serve(pair, &question);
	return NULL;
}

static void *client(void *data)
{
	struct pair *pair = data;
	char question = '?';
	long left;

	for (left = pair->count; question != '.' && !pair->failed; left--) {
		question = left <= 1 || ended ? '.' : '?';
		pair->failed = ask(pair, question);
	}
	return NULL;
}

static int scene_stream(int family, long count, long pairs)
{
	static struct pair all[MOST_PAIRS];
	pthread_t threads[2 * MOST_PAIRS];
	int at, failed = 0;

	for (at = 0; at < pairs; at++) {
		struct pair *pair = &all[at];

		pair->family = family;
		pair->count = count;
		if (listen_at(&pair->listener, family, at, SOCK_STREAM))
			return 1;
		pair->at = address_of(&pair->listener);
		pthread_create(&threads[2 * at], NULL, server, pair);
		pthread_create(&threads[2 * at + 1], NULL, client, pair);
	}
	for (at = 0; at < 2 * pairs; at++)
		pthread_join(threads[at], NULL);
	for (at = 0; at < pairs; at++) {
		net_close(&all[at].listener);
		failed |= all[at].failed;
	}
	return failed;
}

static int scene_dgram(int family, long count)
{
	struct net bound, net;
	struct address at;
	long left;

	if (listen_at(&bound, family, 0, SOCK_DGRAM))
		return 1;
	at = address_of(&bound);
	for (left = count; left; left--)
		if (net_open(&net, family, SOCK_DGRAM) ||
		    net_connect(&net, &at) || net_close(&net))
			return 1;
	return net_close(&bound) != 0;
}

static void *wait_in_connect(void *data)
{
	const struct address *to = data;
	struct net net;

	net_open(&net, AF_UNIX, SOCK_STREAM);
	net_connect(&net, to);
	net_close(&net);
	return NULL;
}

/*
 * A listener that nobody serves holds one connection; all later ones wait.
 * Goes on after a byte of input.
 */
static int scene_blocked(long count)
{
	pthread_t threads[MOST_PAIRS];
	struct net listener, first, net;
	struct address at;
	char byte;
	int one;

	if (net_open(&listener, AF_UNIX, SOCK_STREAM) ||
	    net_bind(&listener,
		     &(struct address){ .any.sa_family = AF_UNIX,
					.bytes = sizeof(sa_family_t) }) ||
	    net_listen(&listener, 0))
		return 1;
	at = address_of(&listener);
	if (net_open(&first, AF_UNIX, SOCK_STREAM) || net_connect(&first, &at))
		return 1;
	for (one = 0; one < count; one++)
		pthread_create(&threads[one], NULL, wait_in_connect, &at);
	if (read(STDIN_FILENO, &byte, 1) != 1)
		return 1;
	for (one = 0; one <= count; one++)
		if (net_accept(&listener, &net) || net_close(&net))
			return 1;
	for (one = 0; one < count; one++)
		pthread_join(threads[one], NULL);
	return net_close(&first) || net_close(&listener);
}

static int family_of(const char *name)
{
	return *name == '4' ? AF_INET : *name == '6' ? AF_INET6 : AF_UNIX;
}

static long limited(const char *text)
{
	long value = atol(text);

	return value < 1 ? 1 : value > MOST_PAIRS ? MOST_PAIRS : value;
}

int main(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = on_signal,
					  .sa_flags = SA_RESTART };
	const char *scene = argc > 1 ? argv[1] : "";

	sigaction(SIGTERM, &action, NULL);
	if (!strcmp(scene, "stream") && argc == 5)
		return scene_stream(family_of(argv[2]), atol(argv[3]),
				    limited(argv[4]));
	if (!strcmp(scene, "dgram") && argc == 4)
		return scene_dgram(family_of(argv[2]), atol(argv[3]));
	if (!strcmp(scene, "cases") && argc == 2)
		return scene_cases();
	if (!strcmp(scene, "crowd") && argc == 3)
		return scene_crowd(atol(argv[2]));
	if (!strcmp(scene, "bind") && argc == 4)
		return scene_bind((unsigned int)atol(argv[2]),
				  (unsigned int)atol(argv[3]));
	if (!strcmp(scene, "blocked") && argc == 3)
		return scene_blocked(limited(argv[2]));
	if (!strcmp(scene, "uring") && argc == 2)
		return scene_uring();
	fputs("osqnet: see the head of osqnet.c\n", stderr);
	return 2;
}
