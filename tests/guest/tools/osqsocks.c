// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqsocks.c - have one connection to 127.0.0.1, by calls that are easily not
 * seen.
 *
 *	osqsocks calls FAMILY TYPE PROTOCOL PORT
 *		bind, listen, connect and accept with sockets of that kind
 *	osqsocks fallback PORT
 *		the same with sockets of SMC that have become sockets of TCP
 *	osqsocks fastopen PORT
 *		a new socket of SMC sends to a server of TCP
 *	osqsocks deferred PORT
 *		TCP connects with the first data, after connect has returned
 *	osqsocks plain PORT
 *		a client of TCP connects to a server of MPTCP
 *	osqsocks connectx PORT
 *		SCTP: bind by BINDX_ADD, connect by CONNECTX
 *	osqsocks sendto PORT
 *		SCTP: send without connect
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* It takes the types of those above for granted. */
#include <linux/sctp.h>

#ifndef TCP_FASTOPEN_NO_COOKIE
#define TCP_FASTOPEN_NO_COOKIE 34
#endif

static struct sockaddr_in at = { .sin_family = AF_INET };

static void must(int worked, const char *what)
{
	if (worked)
		return;
	perror(what);
	exit(1);
}

static int new_socket(int family, int type, int number)
{
	int fd = socket(family, type | SOCK_CLOEXEC, number);

	must(fd >= 0, "socket");
	return fd;
}

static void set_option(int fd, int option)
{
	int one = 1;

	must(!setsockopt(fd, IPPROTO_TCP, option, &one, sizeof(one)), "option");
}

/* SMC does not know the option, so it leaves the socket to TCP. */
static int fallen_back(void)
{
	int fd = new_socket(AF_SMC, SOCK_STREAM, 0);

	set_option(fd, TCP_FASTOPEN_NO_COOKIE);
	return fd;
}

static void bind_to(int fd)
{
	must(!bind(fd, (void *)&at, sizeof(at)), "bind");
}

static void connect_to(int fd)
{
	must(!connect(fd, (void *)&at, sizeof(at)), "connect");
}

static void send_to(int fd, int flags)
{
	must(sendto(fd, "x", 1, flags, (void *)&at, sizeof(at)) == 1, "sendto");
}

static void serve(int server)
{
	must(!listen(server, 1), "listen");
}

static void take(int server)
{
	must(accept(server, NULL, NULL) >= 0, "accept");
}

static void ordinary(int server, int client)
{
	bind_to(server);
	serve(server);
	connect_to(client);
	take(server);
}

static void fast_open(void)
{
	int server = new_socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);

	bind_to(server);
	serve(server);
	send_to(new_socket(AF_SMC, SOCK_STREAM, 0), MSG_FASTOPEN);
	take(server);
}

static void deferred(void)
{
	int server = new_socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
	int client = new_socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);

	bind_to(server);
	serve(server);
	set_option(client, TCP_FASTOPEN_NO_COOKIE);
	set_option(client, TCP_FASTOPEN_CONNECT);
	connect_to(client);
	must(send(client, "x", 1, 0) == 1, "send");
	take(server);
}

static int sctp(void)
{
	return new_socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP);
}

static void connectx(void)
{
	int server = sctp();

	must(!setsockopt(server, IPPROTO_SCTP, SCTP_SOCKOPT_BINDX_ADD, &at,
			 sizeof(at)),
	     "BINDX_ADD");
	serve(server);
	/* It returns the number of the association. */
	must(setsockopt(sctp(), IPPROTO_SCTP, SCTP_SOCKOPT_CONNECTX, &at,
			sizeof(at)) >= 0,
	     "CONNECTX");
	take(server);
}

static void send_first(void)
{
	int server = sctp();

	bind_to(server);
	serve(server);
	send_to(sctp(), 0);
	take(server);
}

int main(int argc, char **argv)
{
	const char *scene = argc > 2 ? argv[1] : "";

	if (argc > 2)
		at.sin_port = htons((unsigned short)atoi(argv[argc - 1]));
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (!strcmp(scene, "calls") && argc == 6) {
		int family = atoi(argv[2]), type = atoi(argv[3]);
		int number = atoi(argv[4]);

		ordinary(new_socket(family, type, number),
			 new_socket(family, type, number));
	} else if (!strcmp(scene, "fallback")) {
		ordinary(fallen_back(), fallen_back());
	} else if (!strcmp(scene, "fastopen")) {
		fast_open();
	} else if (!strcmp(scene, "deferred")) {
		deferred();
	} else if (!strcmp(scene, "plain")) {
		ordinary(new_socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP),
			 new_socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
	} else if (!strcmp(scene, "connectx")) {
		connectx();
	} else if (!strcmp(scene, "sendto")) {
		send_first();
	} else {
		fputs("osqsocks: see the head of osqsocks.c\n", stderr);
		return 2;
	}
	return 0;
}
