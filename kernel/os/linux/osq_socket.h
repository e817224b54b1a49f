/* SPDX-License-Identifier: GPL-2.0-only */
/* osq_socket.h - what the files of the socket publisher have of each other. */
#ifndef OSQ_SOCKET_H
#define OSQ_SOCKET_H

#include <linux/socket.h>
#include <net/sock.h>

#include "osq_linux.h"

/* Whose socket it is: ids that outlive the context they were taken in. */
struct osq_socket_owner {
	struct osq_record head; /* only its ids count */
	u32 uid, euid, gid, egid;
	u32 auid, session;
	bool kept_out; /* the filter did not take it then */
};

/* One end of a socket; path is not copied: it lives as long as the hook. */
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

/* Take down who runs now. */
void osq_socket_owner_take(struct osq_socket_owner *owner);
/* What little is known of the owner of @sk without having seen it. */
void osq_socket_owner_guess(struct osq_socket_owner *owner,
			    const struct sock *sk);
u64 osq_socket_cookie(struct sock *sk);
/* As getsockname and getpeername would tell; none is all zero. */
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

/* A call as its hook sees it. */
struct osq_socket_call {
	u32 action; /* enum osq_socket_action */
	bool handshakes; /* a connect whose outcome may come later */
	struct sock *sk;
	/* What else the call was given; it lives as long as the call. */
	const struct sockaddr *address;
	int address_bytes;
	int backlog;
};

/* What is done at each; with preemption off, in any context but NMI. */
struct osq_socket_hooks {
	/* It begins. Return: false when its end is of no interest. */
	bool (*begin)(const struct osq_socket_call *call);
	/* It returns. */
	void (*end)(const struct osq_socket_call *call, int result);
	/* It begins, and its end will not be seen: no instance is left. */
	void (*unseen)(const struct osq_socket_call *call);
	void (*accepted)(struct sock *sk);
	void (*closing)(struct sock *sk);
	/* As many calls were passed over; told by osq_socket_hooks_stop. */
	void (*passed_over)(u64 count);
};

bool osq_socket_hooks_probe(void);
int osq_socket_hooks_start(const struct osq_socket_hooks *hooks);
void osq_socket_hooks_stop(void);

/* socket_owners.c - who is behind a socket, and connects in progress. */
enum osq_socket_ending {
	OSQ_SOCKET_TOLD, /* nothing is left to be told */
	OSQ_SOCKET_TELL, /* it is over: the caller tells how */
	OSQ_SOCKET_FORGOTTEN, /* its outcome will not be told */
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
