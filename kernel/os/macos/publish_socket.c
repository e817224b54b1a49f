// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish_socket.c - a record for each operation on TCP and UDP sockets, from
 * socket filters.
 *
 * One filter for each domain and type sees every socket that is made while it
 * is registered, but not those that existed before. A filter is
 * called before the protocol, so a connect is IN_PROGRESS
 * here, and its outcome has a record of its own. The outcome of bind and
 * listen is not reported.
 *
 * A close is reported by sock_evt_closing, the last moment at which the socket
 * is complete. When a filter is detached, the socket has no PCB any more:
 * locking it, as each sock_* function does, panics ("tcp_lock: NO PCB!").
 * So there is no sf_detach.
 *
 * sflt_unregister makes an XNU thread detach the filter from its sockets, and
 * XNU reports when the last call into it has ended (sf_unregistered). That is
 * after the publisher has stopped: callbacks find the gate closed until then,
 * and the kext is not unloaded before.
 * Source: xnu-11417.101.15, bsd/kern/kpi_socketfilter.c, sflt_termsock and
 * sflt_cleanup_thread; bsd/netinet/tcp_subr.c, tcp_lock.
 */
#include <netinet/in.h>
#include <sys/kauth.h>
#include <sys/kpi_socketfilter.h>

#include "osq_macos.h"

#define HANDLE_FIRST 0x6f737101u /* "osq", 1 */
#define FILTERS 4u

struct filtered {
	int domain;
	int type;
	int protocol;
};

/* An address as a record has it. */
struct end {
	u8 address[16];
	u16 port;
};

static const struct filtered filtered[FILTERS] = {
	{ PF_INET, SOCK_STREAM, IPPROTO_TCP },
	{ PF_INET, SOCK_DGRAM, IPPROTO_UDP },
	{ PF_INET6, SOCK_STREAM, IPPROTO_TCP },
	{ PF_INET6, SOCK_DGRAM, IPPROTO_UDP },
};

static struct osq_gate gate;
static u64 chosen; /* OSQ_SOCKET_OPT of each action; atomic */
static u32 registered; /* filters that XNU may still call; atomic */
static u64 last_cookie; /* of a socket that a filter has seen; atomic */

static u16 host_order(u16 port)
{
	return (u16)(port << 8 | port >> 8);
}

static void put_end(struct end *end, const struct sockaddr *address)
{
	const struct sockaddr_in *four = (const void *)address;
	const struct sockaddr_in6 *six = (const void *)address;

	memset(end, 0, sizeof(*end));
	if (address && address->sa_family == AF_INET) {
		memcpy(end->address, &four->sin_addr, sizeof(four->sin_addr));
		end->port = host_order(four->sin_port);
	} else if (address && address->sa_family == AF_INET6) {
		memcpy(end->address, &six->sin6_addr, sizeof(six->sin6_addr));
		end->port = host_order(six->sin6_port);
	}
}

static void get_ends(socket_t so, struct end *local, struct end *remote)
{
	struct sockaddr_in6 name;
	struct sockaddr *address = (struct sockaddr *)&name;

	put_end(local,
		sock_getsockname(so, address, sizeof(name)) ? NULL : address);
	put_end(remote,
		sock_getpeername(so, address, sizeof(name)) ? NULL : address);
}

static void put_ids(struct osq_socket *record)
{
	kauth_cred_t cred = kauth_cred_get();

	record->uid = kauth_cred_getruid(cred);
	record->euid = kauth_cred_getuid(cred);
	record->gid = kauth_cred_getrgid(cred);
	record->egid = kauth_cred_getgid(cred);
	record->auid = UINT32_MAX;
	record->session = UINT32_MAX;
}

static void publish(struct osq_ring *ring, void *cookie, socket_t so,
		    struct osq_socket *record, const struct end *local,
		    const struct end *remote)
{
	int domain = 0, type = 0, protocol = 0;

	sock_gettype(so, &domain, &type, &protocol);
	record->family = (u16)domain;
	record->socktype = (u16)type;
	record->protocol = (u32)protocol;
	record->cookie = (u64)(uintptr_t)cookie;
	record->local_port = local->port;
	record->remote_port = remote->port;
	memcpy(record->local_addr, local->address, sizeof(local->address));
	memcpy(record->remote_addr, remote->address, sizeof(remote->address));
	osq_record_append(&record->head, &record->local_path, 0);
	osq_record_append(&record->head, &record->remote_path, 0);
	osq_publish(ring, &record->head);
}

/* If the action is wanted, enter the gate and begin a record. */
static struct osq_ring *begin(struct osq_socket *record, u32 action, u32 status)
{
	struct osq_ring *ring = osq_gate_enter(&gate);
	u64 wanted = __atomic_load_n(&chosen, __ATOMIC_RELAXED);

	if (!ring || !(wanted & OSQ_SOCKET_OPT(action)))
		return NULL;
	osq_head_fill(&record->head, sizeof(*record), OSQ_TYPE_SOCKET);
	record->action = action;
	record->status = status;
	put_ids(record);
	return ring;
}

static errno_t on_attach(void **cookie, socket_t so)
{
	(void)so;
	/* A number and not an address, since records contain it. */
	*cookie = (void *)(uintptr_t)__atomic_add_fetch(&last_cookie, 1,
							__ATOMIC_RELAXED);
	return 0;
}

static void on_closing(void *cookie, socket_t so)
{
	struct osq_socket record;
	struct end local, remote;
	struct osq_ring *ring;

	ring = begin(&record, OSQ_SOCKET_CLOSE, OSQ_SOCKET_SUCCEEDED);
	if (ring) {
		/* The stack may close it long after its process has ended. */
		record.head.flags = OSQ_FLAG_OTHER_CONTEXT;
		get_ends(so, &local, &remote);
		publish(ring, cookie, so, &record, &local, &remote);
	}
	osq_gate_leave(&gate);
}

static errno_t on_connect(void *cookie, socket_t so, const struct sockaddr *to)
{
	struct osq_socket record;
	struct end local, remote;
	struct osq_ring *ring;

	ring = begin(&record, OSQ_SOCKET_CONNECT, OSQ_SOCKET_IN_PROGRESS);
	if (ring) {
		get_ends(so, &local, &remote);
		put_end(&remote, to);
		publish(ring, cookie, so, &record, &local, &remote);
	}
	osq_gate_leave(&gate);
	return 0;
}

static errno_t on_bind(void *cookie, socket_t so, const struct sockaddr *to)
{
	struct osq_socket record;
	struct end local, remote;
	struct osq_ring *ring;

	ring = begin(&record, OSQ_SOCKET_BIND, OSQ_SOCKET_IN_PROGRESS);
	if (ring) {
		put_end(&local, to);
		put_end(&remote, NULL);
		publish(ring, cookie, so, &record, &local, &remote);
	}
	osq_gate_leave(&gate);
	return 0;
}

static errno_t on_listen(void *cookie, socket_t so)
{
	struct osq_socket record;
	struct end local, remote;
	struct osq_ring *ring;

	ring = begin(&record, OSQ_SOCKET_LISTEN, OSQ_SOCKET_IN_PROGRESS);
	if (ring) {
		get_ends(so, &local, &remote);
		publish(ring, cookie, so, &record, &local, &remote);
	}
	osq_gate_leave(&gate);
	return 0;
}

static errno_t on_accept(void *cookie, socket_t listener, socket_t so,
			 const struct sockaddr *from, const struct sockaddr *to)
{
	struct osq_socket record;
	struct end local, remote;
	struct osq_ring *ring;

	(void)listener;
	ring = begin(&record, OSQ_SOCKET_ACCEPT, OSQ_SOCKET_SUCCEEDED);
	if (ring) {
		put_end(&local, from);
		put_end(&remote, to);
		publish(ring, cookie, so, &record, &local, &remote);
	}
	osq_gate_leave(&gate);
	return 0;
}

/* Report the outcome of a connect; one that never connected has failed. */
static void on_connected(void *cookie, socket_t so)
{
	struct osq_socket record;
	struct end local, remote;
	struct osq_ring *ring;

	ring = begin(&record, OSQ_SOCKET_CONNECT, OSQ_SOCKET_SUCCEEDED);
	if (ring) {
		record.head.flags = OSQ_FLAG_OTHER_CONTEXT | OSQ_FLAG_OUTCOME;
		get_ends(so, &local, &remote);
		publish(ring, cookie, so, &record, &local, &remote);
	}
	osq_gate_leave(&gate);
}

static void on_notify(void *cookie, socket_t so, sflt_event_t event,
		      void *param)
{
	(void)param;
	if (event == sock_evt_connected)
		on_connected(cookie, so);
	else if (event == sock_evt_closing)
		on_closing(cookie, so);
}

static void on_unregistered(sflt_handle handle)
{
	(void)handle;
	__atomic_sub_fetch(&registered, 1, __ATOMIC_SEQ_CST);
}

static int add_filter(u32 number)
{
	static char name[] = OSQ_NAME;
	struct sflt_filter filter;

	memset(&filter, 0, sizeof(filter));
	filter.sf_handle = HANDLE_FIRST + number;
	filter.sf_flags = SFLT_GLOBAL | SFLT_EXTENDED;
	filter.sf_name = name;
	filter.sf_unregistered = on_unregistered;
	filter.sf_attach = on_attach;
	filter.sf_notify = on_notify;
	filter.sf_connect_out = on_connect;
	filter.sf_bind = on_bind;
	filter.sf_listen = on_listen;
	filter.sf_ext.sf_ext_len = sizeof(filter.sf_ext);
	filter.sf_ext.sf_ext_accept = on_accept;
	__atomic_add_fetch(&registered, 1, __ATOMIC_SEQ_CST);
	if (!sflt_register(&filter, filtered[number].domain,
			   filtered[number].type, filtered[number].protocol))
		return 0;
	__atomic_sub_fetch(&registered, 1, __ATOMIC_SEQ_CST);
	return -ENOMEM;
}

static void remove_filters(u32 count)
{
	while (count--)
		sflt_unregister(HANDLE_FIRST + count);
}

/* osq_publish_socket_init - begin without a registered filter. */
void osq_publish_socket_init(void)
{
	memset(&gate, 0, sizeof(gate));
	__atomic_store_n(&registered, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&last_cookie, 0, __ATOMIC_RELAXED);
}

/*
 * osq_publish_socket_start - see struct osq_publisher.
 *
 * Return: 0; -EBUSY while filters of an earlier start are still on sockets;
 * -ENOMEM when XNU refuses a filter.
 */
int osq_publish_socket_start(struct osq_ring *ring, u64 options)
{
	u32 number;

	if (__atomic_load_n(&registered, __ATOMIC_SEQ_CST))
		return -EBUSY;
	osq_publish_socket_configure(options);
	osq_gate_open(&gate, ring);
	for (number = 0; number < FILTERS; number++)
		if (add_filter(number)) {
			remove_filters(number);
			osq_gate_close(&gate);
			return -ENOMEM;
		}
	return 0;
}

/* osq_publish_socket_configure - see struct osq_publisher; 0 is all actions. */
void osq_publish_socket_configure(u64 options)
{
	__atomic_store_n(&chosen, options ? options : OSQ_SOCKET_OPTS,
			 __ATOMIC_RELAXED);
}

/* osq_publish_socket_stop - see struct osq_publisher. */
void osq_publish_socket_stop(void)
{
	remove_filters(FILTERS);
	osq_gate_close(&gate);
}

bool osq_publish_socket_may_unload(void)
{
	return osq_gate_may_unload(&gate) &&
	       !__atomic_load_n(&registered, __ATOMIC_SEQ_CST);
}
