// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* json_socket.c - records of sockets as JSON Lines. */
#include "json_records.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "json_print.h"
#include "libosq.h"

static const char *const actions[] = {
	[OSQ_SOCKET_CONNECT] = "connect", [OSQ_SOCKET_ACCEPT] = "accept",
	[OSQ_SOCKET_BIND] = "bind",	  [OSQ_SOCKET_LISTEN] = "listen",
	[OSQ_SOCKET_CLOSE] = "close",
};
#define ACTIONS (sizeof(actions) / sizeof(actions[0]))

static const char *const statuses[] = {
	[OSQ_SOCKET_SUCCEEDED] = "succeeded",
	[OSQ_SOCKET_FAILED] = "failed",
	[OSQ_SOCKET_IN_PROGRESS] = "in_progress",
	[OSQ_SOCKET_UNSEEN] = "unseen",
};
#define STATUSES (sizeof(statuses) / sizeof(statuses[0]))

unsigned int json_socket_action(const char *name)
{
	unsigned int action;

	for (action = 0; action < ACTIONS; action++)
		if (actions[action] && !strcmp(name, actions[action]))
			return action;
	return 0;
}

/* Print a name, or the number if a newer driver sent an unknown one. */
static void print_name(FILE *out, const char *field, const char *const *names,
		       size_t count, uint32_t number)
{
	if (number < count && names[number])
		fprintf(out, ",\"%s\":\"%s\"", field, names[number]);
	else
		fprintf(out, ",\"%s\":%u", field, number);
}

/* Linux's number, which older C libraries do not have. */
#ifndef AF_SMC
#define AF_SMC 43
#endif
/* Of SMC, which has addresses of IP: those of version 6. */
#define SMC_IPV6 1u

static int notation_of(const struct osq_socket *socket)
{
	if (socket->family != AF_SMC)
		return socket->family;
	return socket->protocol == SMC_IPV6 ? AF_INET6 : AF_INET;
}

/* One end: an address in the notation of its family, or a path. */
static void print_end(FILE *out, const char *side,
		      const struct osq_socket *socket, const uint8_t *addr,
		      unsigned int port, const struct osq_span *path)
{
	int notation = notation_of(socket);
	char text[INET6_ADDRSTRLEN] = "";

	if (notation == AF_INET || notation == AF_INET6)
		inet_ntop(notation, addr, text, sizeof(text));
	fprintf(out, ",\"%s_address\":\"%s\",\"%s_port\":%u,\"%s_path\":", side,
		text, side, port, side);
	json_string(out, osq_client_bytes(&socket->head, path), path->len);
}

static void print_numbers(FILE *out, const struct osq_socket *socket)
{
	fprintf(out,
		",\"error\":%u,\"backlog\":%u,\"uid\":%u,\"euid\":%u,"
		"\"gid\":%u,\"egid\":%u,\"auid\":%u,\"session\":%u,"
		"\"family\":%u,\"socktype\":%u,\"protocol\":%u,\"ifindex\":%u",
		socket->error, socket->backlog, socket->uid, socket->euid,
		socket->gid, socket->egid, socket->auid, socket->session,
		socket->family, socket->socktype, socket->protocol,
		socket->ifindex);
	fprintf(out,
		",\"cookie\":%llu,\"acked_bytes\":%llu,"
		"\"received_bytes\":%llu,\"net_ns\":%u",
		(unsigned long long)socket->cookie,
		(unsigned long long)socket->acked_bytes,
		(unsigned long long)socket->received_bytes, socket->net_ns);
}

int json_socket(FILE *out, const struct osq_record *record)
{
	const struct osq_socket *socket = (const struct osq_socket *)record;

	if (record->len < sizeof(*socket) ||
	    !osq_client_bytes(record, &socket->local_path) ||
	    !osq_client_bytes(record, &socket->remote_path))
		return -1;
	json_head(out, record, "socket");
	json_actor(out, &socket->actor);
	print_name(out, "action", actions, ACTIONS, socket->action);
	print_name(out, "status", statuses, STATUSES, socket->status);
	print_numbers(out, socket);
	print_end(out, "local", socket, socket->local_addr, socket->local_port,
		  &socket->local_path);
	print_end(out, "remote", socket, socket->remote_addr,
		  socket->remote_port, &socket->remote_path);
	fputs("}\n", out);
	return 0;
}
