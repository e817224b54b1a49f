// SPDX-License-Identifier: GPL-2.0-only
/*
 * socket_record.c - make the record of a socket call from the kernel's own
 * structures.
 *
 * Both ends are read without the socket's lock: the hooks run where no other
 * call can change them, or where a call that could change them has the lock
 * anyway.
 */
#include <linux/audit.h>
#include <linux/cred.h>
#include <linux/errno.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ipv6.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/un.h>
#include <net/af_unix.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>

#include "osq_socket.h"

/* The fixed part and two paths, which is small enough for the stack. */
struct buffer {
	struct osq_socket socket;
	u8 paths[2 * UNIX_PATH_MAX];
};

void osq_socket_owner_take(struct osq_socket_owner *owner)
{
	const struct cred *cred = current_cred();
	struct user_namespace *ns = &init_user_ns;

	osq_head_fill(&owner->head, sizeof(owner->head), OSQ_TYPE_SOCKET,
		      &owner->actor);
	owner->uid = from_kuid(ns, cred->uid);
	owner->euid = from_kuid(ns, cred->euid);
	owner->gid = from_kgid(ns, cred->gid);
	owner->egid = from_kgid(ns, cred->egid);
	owner->auid = from_kuid(ns, audit_get_loginuid(current));
	owner->session = audit_get_sessionid(current);
	owner->kept_out = !osq_filter_takes(
		OSQ_TYPE_SOCKET, &(struct osq_about){ .task = current });
}

void osq_socket_owner_guess(struct osq_socket_owner *owner,
			    const struct sock *sk)
{
	memset(owner, 0xff, sizeof(*owner));
	memset(&owner->head, 0, sizeof(owner->head));
	memset(&owner->actor, 0, sizeof(owner->actor));
	owner->uid = from_kuid(&init_user_ns, sk->sk_uid);
	owner->euid = owner->uid;
	owner->kept_out = false;
}

/* The kernel gives a socket its cookie at the first request for it. */
u64 osq_socket_cookie(struct sock *sk)
{
	u32 half[2];

	sock_diag_save_cookie(sk, half);
	return (u64)half[1] << 32 | half[0];
}

bool osq_socket_is_inet(const struct sock *sk)
{
	return sk->sk_family == AF_INET ||
	       (IS_ENABLED(CONFIG_IPV6) && sk->sk_family == AF_INET6);
}

static void put_inet4(struct osq_socket_end *end, __be32 addr, __be16 port)
{
	memcpy(end->addr, &addr, sizeof(addr));
	end->port = ntohs(port);
}

static void put_inet6(struct osq_socket_end *end, const struct in6_addr *addr,
		      __be16 port)
{
	memcpy(end->addr, addr, sizeof(*addr));
	end->port = ntohs(port);
}

#if IS_ENABLED(CONFIG_IPV6)
static void put_local6(struct osq_socket_end *end, const struct sock *sk)
{
	const struct in6_addr *addr = &sk->sk_v6_rcv_saddr;

	if (ipv6_addr_any(addr) && inet6_sk(sk))
		addr = &inet6_sk(sk)->saddr;
	put_inet6(end, addr, inet_sk(sk)->inet_sport);
}

static void put_remote6(struct osq_socket_end *end, const struct sock *sk)
{
	put_inet6(end, &sk->sk_v6_daddr, inet_sk(sk)->inet_dport);
}
#else
/* No socket has such an address. */
static void put_local6(struct osq_socket_end *end, const struct sock *sk)
{
}

static void put_remote6(struct osq_socket_end *end, const struct sock *sk)
{
}
#endif

/* @bytes: the length of @name, its family included. */
static void put_unix(struct osq_socket_end *end, const struct sockaddr_un *name,
		     int bytes)
{
	int most = min_t(int, bytes - (int)offsetof(typeof(*name), sun_path),
			 UNIX_PATH_MAX);

	if (most <= 0)
		return;
	end->path = name->sun_path;
	end->path_bytes = name->sun_path[0] ? strnlen(name->sun_path, most)
					    : most;
}

/* A name is set once, and freed with the socket. */
static void put_unix_sock(struct osq_socket_end *end, const struct sock *sk)
{
	const struct unix_address *address;

	/*
	 * Pairs with the release by which bind makes the complete name visible.
	 */
	address = smp_load_acquire(&unix_sk(sk)->addr);
	if (address)
		put_unix(end, address->name, address->len);
}

void osq_socket_local(struct osq_socket_end *end, const struct sock *sk)
{
	const struct inet_sock *inet = inet_sk(sk);

	if (sk->sk_family == AF_UNIX) {
		put_unix_sock(end, sk);
	} else if (!osq_socket_is_inet(sk)) {
		return;
	} else if (sk->sk_family == AF_INET) {
		put_inet4(end, inet->inet_rcv_saddr ?: inet->inet_saddr,
			  inet->inet_sport);
	} else {
		put_local6(end, sk);
	}
}

/*
 * A failed connect leaves the address in the socket, and releases the port; raw
 * sockets have no ports. A UNIX socket points to its peer.
 */
bool osq_socket_has_remote(const struct sock *sk)
{
	if (sk->sk_family == AF_UNIX)
		return READ_ONCE(unix_sk(sk)->peer);
	return osq_socket_is_inet(sk) &&
	       (inet_sk(sk)->inet_dport || sk->sk_type == SOCK_RAW);
}

void osq_socket_remote(struct osq_socket_end *end, const struct sock *sk)
{
	const struct inet_sock *inet = inet_sk(sk);

	if (!osq_socket_has_remote(sk))
		return;
	if (sk->sk_family == AF_UNIX)
		put_unix_sock(end, READ_ONCE(unix_sk(sk)->peer));
	else if (sk->sk_family == AF_INET)
		put_inet4(end, inet->inet_daddr, inet->inet_dport);
	else
		put_remote6(end, sk);
}

/* SMC takes addresses of IP, and SCTP those of IPv4 for a socket of IPv6. */
static bool takes_both(const struct sock *sk)
{
	return sk->sk_family == AF_SMC || sk->sk_protocol == IPPROTO_SCTP;
}

/* A socket of IPv6 has addresses of IPv6 in all its records. */
static void put_asked4(struct osq_socket_end *end, const struct sock *sk,
		       const struct sockaddr_in *asked)
{
	struct in6_addr mapped;

	if (sk->sk_family != AF_INET6) {
		put_inet4(end, asked->sin_addr.s_addr, asked->sin_port);
		return;
	}
	ipv6_addr_set_v4mapped(asked->sin_addr.s_addr, &mapped);
	put_inet6(end, &mapped, asked->sin_port);
}

/* One that is too short, or of another family, is refused by the kernel. */
void osq_socket_asked(struct osq_socket_end *end, const struct sock *sk,
		      const struct sockaddr *address, int bytes)
{
	const struct sockaddr_in *in4 = (const void *)address;
	const struct sockaddr_in6 *in6 = (const void *)address;

	if (!address || bytes < (int)sizeof(address->sa_family) ||
	    (address->sa_family != sk->sk_family && !takes_both(sk)))
		return;
	if (address->sa_family == AF_UNIX)
		put_unix(end, (const void *)address, bytes);
	else if (address->sa_family == AF_INET && bytes >= (int)sizeof(*in4))
		put_asked4(end, sk, in4);
	else if (address->sa_family == AF_INET6 && bytes >= SIN6_LEN_RFC2133)
		put_inet6(end, &in6->sin6_addr, in6->sin6_port);
}

/* Return the error that user space gets for a call that a signal has ended. */
static u32 errno_of(int result)
{
	switch (result) {
	case -ERESTARTSYS:
	case -ERESTARTNOINTR:
	case -ERESTARTNOHAND:
	case -ERESTART_RESTARTBLOCK:
		result = -EINTR;
		break;
	}
	return -result;
}

/* A signal ends the call, but not the connection that it has begun. */
enum osq_socket_status osq_socket_status(u32 action, int result)
{
	u32 error = errno_of(result);

	if (!result)
		return OSQ_SOCKET_SUCCEEDED;
	if (action == OSQ_SOCKET_CONNECT &&
	    (error == EINPROGRESS || error == EALREADY || error == EINTR))
		return OSQ_SOCKET_IN_PROGRESS;
	return OSQ_SOCKET_FAILED;
}

static void put_end(struct buffer *buffer, struct osq_span *span,
		    const struct osq_socket_end *end, u8 *addr, __u16 *port)
{
	struct osq_record *head = &buffer->socket.head;

	memcpy(addr, end->addr, sizeof(end->addr));
	*port = end->port;
	span->off = head->len;
	span->len = end->path_bytes;
	if (end->path_bytes)
		memcpy((u8 *)buffer + head->len, end->path, end->path_bytes);
	head->len += end->path_bytes;
}

static void put_owner(struct osq_socket *socket,
		      const struct osq_socket_owner *owner)
{
	socket->head = owner->head;
	socket->head.len = sizeof(*socket);
	socket->head.type = OSQ_TYPE_SOCKET;
	socket->head.cpu = raw_smp_processor_id();
	socket->uid = owner->uid;
	socket->euid = owner->euid;
	socket->gid = owner->gid;
	socket->egid = owner->egid;
	socket->auid = owner->auid;
	socket->session = owner->session;
	socket->actor = owner->actor;
}

static void put_socket(struct osq_socket *socket, struct sock *sk)
{
	const struct tcp_sock *tcp = tcp_sk(sk);

	socket->family = sk->sk_family;
	socket->socktype = sk->sk_type;
	socket->protocol = sk->sk_protocol;
	socket->ifindex = sk->sk_bound_dev_if;
	socket->cookie = osq_socket_cookie(sk);
	socket->net_ns = sock_net(sk)->ns.inum;
	if (socket->action != OSQ_SOCKET_CLOSE || !osq_socket_is_inet(sk) ||
	    sk->sk_type != SOCK_STREAM || sk->sk_protocol != IPPROTO_TCP)
		return;
	socket->acked_bytes = tcp->bytes_acked;
	socket->received_bytes = tcp->bytes_received;
}

/*
 * osq_socket_publish - the only function that makes records of sockets. It asks
 * the filter about the owner before anything is encoded.
 */
void osq_socket_publish(struct osq_ring *ring,
			const struct osq_socket_event *event)
{
	struct buffer buffer;
	struct osq_socket *socket = &buffer.socket;

	memset(socket, 0, sizeof(*socket));
	put_owner(socket, event->owner);
	socket->head.flags |= event->flags;
	socket->action = event->action;
	if (event->unseen) {
		socket->status = OSQ_SOCKET_UNSEEN;
	} else {
		socket->status =
			osq_socket_status(event->action, event->result);
		socket->error = errno_of(event->result);
	}
	socket->backlog = event->backlog;
	put_socket(socket, event->sk);
	put_end(&buffer, &socket->local_path, &event->local, socket->local_addr,
		&socket->local_port);
	put_end(&buffer, &socket->remote_path, &event->remote,
		socket->remote_addr, &socket->remote_port);
	osq_publish(ring, &socket->head,
		    osq_rank_of(KUIDT_INIT(socket->uid),
				KUIDT_INIT(socket->euid)));
}
