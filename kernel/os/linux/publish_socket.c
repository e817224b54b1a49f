// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish_socket.c - a record for every connect, accept, bind, listen and
 * close of a socket of user space, whatever its protocol.
 *
 * A TCP connect that returned before its handshake had ended has a second
 * record with the outcome, from the tracepoint inet_sock_set_state. That fires
 * wherever the last packet is handled, most often in a soft interrupt, so the
 * owner is remembered (socket_owners.c).
 */
#include <linux/errno.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/tracepoint.h>
#include <net/tcp_states.h>

#include "osq_socket.h"

#define HANDSHAKE (TCPF_SYN_SENT | TCPF_SYN_RECV)
#define HANDSHAKE_OVER (TCPF_ESTABLISHED | TCPF_CLOSE)

static struct osq_ring *target;
static struct tracepoint *state_hook;
static u64 chosen; /* OSQ_SOCKET_OPT() of each action */
static bool live; /* until all is hooked no miss is counted */

/*
 * Events of the kernel's own sockets are not recorded, nor those of netlink,
 * which leads to the kernel alone.
 *
 * SMC and MPTCP make a socket of TCP as the kernel's, and may give it to the
 * process afterwards: then a file leads to it. NFS has files for its sockets,
 * too, which no process uses.
 */
static bool is_watched(const struct sock *sk, const struct socket *socket)
{
	return READ_ONCE(live) && sk->sk_family != AF_NETLINK &&
	       (!sk->sk_kern_sock ||
		(socket && socket->file && !(current->flags & PF_KTHREAD)));
}

static bool is_chosen(u32 action)
{
	return READ_ONCE(chosen) & OSQ_SOCKET_OPT(action);
}

/* A hook in another context uses the filter's answer about the owner. */
static void publish(const struct osq_socket_event *event)
{
	if (!is_chosen(event->action))
		return;
	if (event->owner->kept_out)
		osq_ring_filtered(target, OSQ_TYPE_SOCKET);
	else
		osq_socket_publish(target, event);
}

/* Publish the outcome of a handshake. */
static void publish_outcome(struct osq_socket_event *event)
{
	event->action = OSQ_SOCKET_CONNECT;
	event->flags |= OSQ_FLAG_OUTCOME;
	osq_socket_local(&event->local, event->sk);
	osq_socket_remote(&event->remote, event->sk);
	publish(event);
}

static bool begin(const struct osq_socket_call *call)
{
	struct osq_socket_owner owner;
	u64 cookie;

	if (!is_watched(call->sk, call->socket))
		return false;
	cookie = osq_socket_cookie(call->sk);
	osq_socket_owner_take(&owner);
	if (call->handshakes)
		osq_socket_owners_begin(cookie, &owner);
	else
		osq_socket_owners_remember(cookie, &owner);
	return true;
}

/*
 * Store both addresses: those of the socket, or else those that the caller
 * passed.
 */
static void put_ends(struct osq_socket_event *event,
		     const struct osq_socket_call *call)
{
	enum osq_socket_status status =
		osq_socket_status(call->action, event->result);
	bool as_asked = event->unseen || status == OSQ_SOCKET_FAILED;

	if (call->action == OSQ_SOCKET_BIND && as_asked)
		osq_socket_asked(&event->local, call->sk, call->address,
				 call->address_bytes);
	else
		osq_socket_local(&event->local, call->sk);
	if (call->action != OSQ_SOCKET_CONNECT)
		return;
	if (as_asked || call->sk->sk_family == AF_UNIX ||
	    !osq_socket_has_remote(call->sk))
		osq_socket_asked(&event->remote, call->sk, call->address,
				 call->address_bytes);
	else
		osq_socket_remote(&event->remote, call->sk);
}

/* The call's own record has been made. Is a record of the outcome due? */
static void end_handshake(struct sock *sk, const struct osq_socket_owner *owner,
			  int result)
{
	bool in_progress = osq_socket_status(OSQ_SOCKET_CONNECT, result) ==
			   OSQ_SOCKET_IN_PROGRESS;
	bool handshaking = 1 << READ_ONCE(sk->sk_state) & HANDSHAKE;
	struct osq_socket_event event = { .sk = sk, .owner = owner };

	switch (osq_socket_owners_end(osq_socket_cookie(sk), in_progress,
				      handshaking, &event.result)) {
	case OSQ_SOCKET_FORGOTTEN:
		event.unseen = true;
		fallthrough;
	case OSQ_SOCKET_TELL:
		publish_outcome(&event);
		break;
	case OSQ_SOCKET_TOLD:
		break;
	}
}

static void end(const struct osq_socket_call *call, int result)
{
	struct osq_socket_owner owner;
	struct osq_socket_event event = {
		.sk = call->sk,
		.owner = &owner,
		.action = call->action,
		.result = result,
		.backlog = call->backlog,
	};

	if (!READ_ONCE(live))
		return;
	osq_socket_owner_take(&owner);
	put_ends(&event, call);
	publish(&event);
	if (call->handshakes)
		end_handshake(call->sk, &owner, result);
}

/*
 * When one user's many waiting calls use up all instances, other users' calls
 * are still recorded; and so are the calls of each protocol.
 */
static void unseen(const struct osq_socket_call *call)
{
	struct osq_socket_owner owner;
	struct osq_socket_event event = {
		.sk = call->sk,
		.owner = &owner,
		.action = call->action,
		.unseen = true,
		.backlog = call->backlog,
	};

	if (!is_watched(call->sk, call->socket))
		return;
	osq_socket_owner_take(&owner);
	osq_socket_owners_remember(osq_socket_cookie(call->sk), &owner);
	put_ends(&event, call);
	publish(&event);
}

static void accepted(struct sock *sk, const struct socket *socket)
{
	struct osq_socket_owner owner;
	struct osq_socket_event event = {
		.sk = sk,
		.owner = &owner,
		.action = OSQ_SOCKET_ACCEPT,
	};

	if (!is_watched(sk, socket))
		return;
	osq_socket_owner_take(&owner);
	osq_socket_owners_remember(osq_socket_cookie(sk), &owner);
	osq_socket_local(&event.local, sk);
	osq_socket_remote(&event.remote, sk);
	publish(&event);
}

/* A kernel thread closes only sockets that a process has left. */
static void closing(const struct socket *socket)
{
	struct sock *sk = socket->sk;
	struct osq_socket_owner owner;
	struct osq_socket_event event = {
		.sk = sk,
		.owner = &owner,
		.action = OSQ_SOCKET_CLOSE,
	};
	bool known;

	if (!is_watched(sk, socket))
		return;
	known = osq_socket_owners_forget(osq_socket_cookie(sk), &owner);
	if (!(current->flags & PF_KTHREAD)) {
		osq_socket_owner_take(&owner);
	} else {
		event.flags |= OSQ_FLAG_OTHER_CONTEXT;
		if (!known)
			osq_socket_owner_guess(&owner, sk);
	}
	osq_socket_local(&event.local, sk);
	osq_socket_remote(&event.remote, sk);
	publish(&event);
}

static const struct osq_socket_hooks hooks = {
	.begin = begin,
	.end = end,
	.unseen = unseen,
	.accepted = accepted,
	.closing = closing,
};

/*
 * The tracepoint is called before the state changes. A socket that begin has
 * not seen is not remembered, and mostly has no cookie. Context: soft interrupt
 * or process.
 */
static void on_state(void *data, const struct sock *sk, const int from,
		     const int to)
{
	struct osq_socket_owner owner;
	struct osq_socket_event event = {
		.sk = (struct sock *)sk,
		.owner = &owner,
		.flags = OSQ_FLAG_OTHER_CONTEXT,
	};
	u64 cookie;

	if (!(1 << from & HANDSHAKE) || !(1 << to & HANDSHAKE_OVER))
		return;
	cookie = atomic64_read(&sk->sk_cookie);
	if (!cookie || !READ_ONCE(live))
		return;
	if (to == TCP_CLOSE)
		event.result = -(READ_ONCE(sk->sk_err) ?: ECONNABORTED);
	if (osq_socket_owners_outcome(cookie, event.result, &owner))
		publish_outcome(&event);
}

/* osq_publish_socket_probe - see struct osq_publisher. */
bool osq_publish_socket_probe(void)
{
	return osq_tracepoint_find("inet_sock_set_state") &&
	       osq_socket_hooks_probe();
}

/*
 * osq_publish_socket_start - see struct osq_publisher.
 *
 * Return: 0; -ENOMEM; -EOPNOTSUPP on a kernel without one of the hooks; the
 * error of registering one.
 */
int osq_publish_socket_start(struct osq_ring *ring, u64 options)
{
	int err;

	state_hook = osq_tracepoint_find("inet_sock_set_state");
	if (!state_hook)
		return -EOPNOTSUPP;
	err = osq_socket_owners_open();
	if (err)
		return err;
	err = osq_programs_open();
	if (err)
		goto close_owners;
	target = ring;
	osq_publish_socket_configure(options);
	err = tracepoint_probe_register(state_hook, on_state, NULL);
	if (err)
		goto close_programs;
	err = osq_socket_hooks_start(&hooks);
	if (err)
		goto unhook_state;
	err = osq_hook_check_start();
	if (err)
		goto stop_hooks;
	WRITE_ONCE(live, true);
	return 0;

stop_hooks:
	osq_socket_hooks_stop();
unhook_state:
	tracepoint_probe_unregister(state_hook, on_state, NULL);
	tracepoint_synchronize_unregister();
close_programs:
	osq_programs_close();
close_owners:
	osq_socket_owners_close();
	return err;
}

/* osq_publish_socket_configure - see struct osq_publisher. */
void osq_publish_socket_configure(u64 options)
{
	WRITE_ONCE(chosen, options ?: OSQ_SOCKET_OPTS);
}

/*
 * osq_publish_socket_stop - see struct osq_publisher.
 *
 * Each unregistration waits until no hook of its kind runs on any CPU.
 */
void osq_publish_socket_stop(void)
{
	WRITE_ONCE(live, false);
	osq_hook_check_stop();
	osq_socket_hooks_stop();
	tracepoint_probe_unregister(state_hook, on_state, NULL);
	tracepoint_synchronize_unregister();
	osq_programs_close();
	osq_socket_owners_close();
}

/* osq_publish_socket_missed - see struct osq_publisher. */
u64 osq_publish_socket_missed(void)
{
	return osq_socket_hooks_missed();
}
