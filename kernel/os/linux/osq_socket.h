/* SPDX-License-Identifier: GPL-2.0-only */
/* osq_socket.h - declarations that the files of the socket publisher share. */
#ifndef OSQ_SOCKET_H
#define OSQ_SOCKET_H

#include <linux/socket.h>
#include <net/sock.h>

#include "osq_linux.h"

struct pt_regs;

/*
 * The owner of a socket: ids that stay valid outside the context they were read
 * in.
 */
struct osq_socket_owner {
	struct osq_record head; /* only its ids count */
	struct osq_actor actor;
	u32 uid, euid, gid, egid;
	u32 auid, session;
	bool kept_out; /* the filter did not take it then */
};

/*
 * One end of a socket; path is not copied: it stays valid as long as the hook
 * runs.
 */
struct osq_socket_end {
	u8 addr[16];
	u16 port;
	u16 path_bytes;
	const char *path;
};

struct osq_socket_event {
	struct sock *sk;
	const struct osq_socket_owner *owner;
	u32 action; /* enum osq_socket_action */
	int result; /* 0 or a negative errno, as the call returned it */
	bool unseen; /* how it ended was not seen: result says nothing */
	u32 backlog;
	u16 flags;
	struct osq_socket_end local;
	struct osq_socket_end remote;
};

/* socket_record.c - all of it: any context but NMI; nothing sleeps. */

/* Store the ids of the current process. */
void osq_socket_owner_take(struct osq_socket_owner *owner);
/* Store what is known of the owner of @sk if no hook has seen it. */
void osq_socket_owner_guess(struct osq_socket_owner *owner,
			    const struct sock *sk);
u64 osq_socket_cookie(struct sock *sk);
bool osq_socket_is_inet(const struct sock *sk);
/*
 * Get the addresses that getsockname and getpeername would return; all zero for
 * none, and for a family other than IPv4, IPv6 and UNIX.
 */
void osq_socket_local(struct osq_socket_end *end, const struct sock *sk);
void osq_socket_remote(struct osq_socket_end *end, const struct sock *sk);
bool osq_socket_has_remote(const struct sock *sk);
/* The address that a call was given for @sk. */
void osq_socket_asked(struct osq_socket_end *end, const struct sock *sk,
		      const struct sockaddr *address, int bytes);
enum osq_socket_status osq_socket_status(u32 action, int result);
void osq_socket_publish(struct osq_ring *ring,
			const struct osq_socket_event *event);

/*
 * socket_hooks.c - kprobes at the functions that protocols have for calls on
 * their sockets.
 */

/* A socket call as a hook sees it. */
struct osq_socket_call {
	u32 action; /* enum osq_socket_action */
	bool handshakes; /* a connect whose outcome may come later */
	struct sock *sk;
	const struct socket *socket;
	/* The call's other arguments; they stay valid as long as the call. */
	const struct sockaddr *address;
	int address_bytes;
	int backlog;
};

/*
 * The functions that hooks call; with preemption off, in any context but NMI.
 */
struct osq_socket_hooks {
	/* The call begins. Return: false when its end need not be reported. */
	bool (*begin)(const struct osq_socket_call *call);
	/* The call returns. */
	void (*end)(const struct osq_socket_call *call, int result);
	/*
	 * The call begins, and its end will not be seen: no instance is left,
	 * or it is another protocol's.
	 */
	void (*unseen)(const struct osq_socket_call *call);
	/* @socket: what the process that accepts gets a file of. */
	void (*accepted)(struct sock *sk, const struct socket *socket);
	void (*closing)(const struct socket *socket);
};

bool osq_socket_hooks_probe(void);
int osq_socket_hooks_start(const struct osq_socket_hooks *hooks);
void osq_socket_hooks_stop(void);
u64 osq_socket_hooks_missed(void);

/* socket_sctp.c */
void osq_socket_sctp_calls(struct pt_regs *regs,
			   void (*unseen)(const struct osq_socket_call *call));

/*
 * socket_owners.c - remember the owner of a socket, and connects in progress.
 */
enum osq_socket_ending {
	OSQ_SOCKET_TOLD, /* nothing is left to be reported */
	OSQ_SOCKET_TELL, /* it has ended: the caller reports the outcome */
	OSQ_SOCKET_FORGOTTEN, /* its outcome will not be reported */
};

int osq_socket_owners_open(void);
void osq_socket_owners_close(void);
void osq_socket_owners_remember(u64 cookie,
				const struct osq_socket_owner *owner);
void osq_socket_owners_begin(u64 cookie, const struct osq_socket_owner *owner);
enum osq_socket_ending osq_socket_owners_end(u64 cookie, bool in_progress,
					     bool handshaking, int *result);
bool osq_socket_owners_outcome(u64 cookie, int result,
			       struct osq_socket_owner *owner);
bool osq_socket_owners_forget(u64 cookie, struct osq_socket_owner *owner);

#endif
