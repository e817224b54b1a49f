/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: xnu-11417.101.15, bsd/sys/socket.h, bsd/netinet/in.h. */
#ifndef OSQ_KPI_SOCKET_H
#define OSQ_KPI_SOCKET_H

#include <sys/types.h>

#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define AF_INET 2
#define AF_INET6 30
#define PF_INET AF_INET
#define PF_INET6 AF_INET6

struct sockaddr {
	uint8_t sa_len;
	uint8_t sa_family;
	char sa_data[14];
};

#endif
