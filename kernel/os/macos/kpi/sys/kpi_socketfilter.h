/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A filter's functions are called for the sockets that it is attached to. 0
 * lets a call go on. sf_unregistered comes last of all, when none is left.
 * Source: xnu-11417.101.15, bsd/sys/kpi_socketfilter.h, bsd/sys/kpi_socket.h.
 */
#ifndef OSQ_KPI_SOCKETFILTER_H
#define OSQ_KPI_SOCKETFILTER_H

#include <sys/types.h>

struct sockaddr;

#define SFLT_GLOBAL 0x01
#define SFLT_EXTENDED 0x04
#define sock_evt_connected 2
#define sock_evt_disconnected 4
#define sock_evt_closing 9
#define sock_evt_bound 10

typedef uint32_t sflt_handle;
typedef uint32_t sflt_event_t;
typedef uint32_t sflt_data_flag_t;

typedef void (*sf_unregistered_func)(sflt_handle handle);
typedef errno_t (*sf_attach_func)(void **cookie, socket_t so);
typedef void (*sf_detach_func)(void *cookie, socket_t so);
typedef void (*sf_notify_func)(void *cookie, socket_t so, sflt_event_t event,
			       void *param);
typedef int (*sf_getname_func)(void *cookie, socket_t so,
			       struct sockaddr **name);
typedef errno_t (*sf_data_func)(void *cookie, socket_t so,
				const struct sockaddr *peer, mbuf_t *data,
				mbuf_t *control, sflt_data_flag_t flags);
typedef errno_t (*sf_address_func)(void *cookie, socket_t so,
				   const struct sockaddr *address);
typedef errno_t (*sf_option_func)(void *cookie, socket_t so, sockopt_t option);
typedef errno_t (*sf_listen_func)(void *cookie, socket_t so);
typedef errno_t (*sf_ioctl_func)(void *cookie, socket_t so,
				 unsigned long request, const char *argument);
typedef errno_t (*sf_accept_func)(void *cookie, socket_t listener, socket_t so,
				  const struct sockaddr *local,
				  const struct sockaddr *remote);

struct sflt_filter {
	sflt_handle sf_handle;
	int sf_flags;
	char *sf_name;
	sf_unregistered_func sf_unregistered;
	sf_attach_func sf_attach;
	sf_detach_func sf_detach;
	sf_notify_func sf_notify;
	sf_getname_func sf_getpeername;
	sf_getname_func sf_getsockname;
	sf_data_func sf_data_in;
	sf_data_func sf_data_out;
	sf_address_func sf_connect_in;
	sf_address_func sf_connect_out;
	sf_address_func sf_bind;
	sf_option_func sf_setoption;
	sf_option_func sf_getoption;
	sf_listen_func sf_listen;
	sf_ioctl_func sf_ioctl;
	struct {
		unsigned int sf_ext_len;
		sf_accept_func sf_ext_accept;
		void *sf_ext_rsvd[5];
	} sf_ext;
};

extern errno_t sflt_register(const struct sflt_filter *filter, int domain,
			     int type, int protocol);
extern errno_t sflt_unregister(sflt_handle handle);

extern errno_t sock_gettype(socket_t so, int *domain, int *type, int *protocol);
extern errno_t sock_getsockname(socket_t so, struct sockaddr *name, int bytes);
extern errno_t sock_getpeername(socket_t so, struct sockaddr *name, int bytes);

#endif
