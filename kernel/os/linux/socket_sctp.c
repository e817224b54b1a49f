// SPDX-License-Identifier: GPL-2.0-only
/*
 * socket_sctp.c - the calls that SCTP has of its own to bind and to connect a
 * socket: two of its options, and the first message.
 *
 * They lead past the hooks of bind and connect, and to one for SCTP alone. They
 * have several addresses, one behind the other.
 */
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ptrace.h>
#include <linux/sctp.h>

#include "compat.h"
#include "osq_socket.h"

/* SCTP may reach any of them. One call has few, but may have more than these. */
#define ADDRESSES_MAX 32

static int bytes_of(const struct sockaddr *address)
{
	switch (address->sa_family) {
	case AF_INET:
		return sizeof(struct sockaddr_in);
	case AF_INET6:
		return sizeof(struct sockaddr_in6);
	default:
		return 0;
	}
}

/*
 * osq_socket_sctp_calls - report a call of security_sctp_bind_connect.
 * @regs: as the function begins.
 * @unseen: called for each address that a process binds or connects to.
 *
 * The kernel asks the same hook about addresses that a peer wants to add.
 * Context: a kprobe's handler.
 */
void osq_socket_sctp_calls(struct pt_regs *regs,
			   void (*unseen)(const struct osq_socket_call *call))
{
	struct sock *sk = (void *)osq_argument(regs, 0);
	int option = osq_argument(regs, 1);
	const char *at = (void *)osq_argument(regs, 2);
	int left = osq_argument(regs, 3);
	struct osq_socket_call call = {
		.action = option == SCTP_SOCKOPT_BINDX_ADD ? OSQ_SOCKET_BIND
							   : OSQ_SOCKET_CONNECT,
		.sk = sk,
		.socket = sk->sk_socket,
	};
	int i;

	if (option != SCTP_SOCKOPT_BINDX_ADD &&
	    option != SCTP_SOCKOPT_CONNECTX && option != SCTP_SENDMSG_CONNECT)
		return;
	for (i = 0; i < ADDRESSES_MAX && left >= (int)sizeof(*call.address);
	     i++) {
		call.address = (const void *)at;
		call.address_bytes = bytes_of(call.address);
		if (!call.address_bytes || call.address_bytes > left)
			return;
		unseen(&call);
		at += call.address_bytes;
		left -= call.address_bytes;
	}
}
