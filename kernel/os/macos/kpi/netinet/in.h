/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: xnu-11417.101.15, bsd/netinet/in.h, bsd/netinet6/in6.h. */
#ifndef OSQ_KPI_IN_H
#define OSQ_KPI_IN_H

#include <sys/socket.h>

#define IPPROTO_TCP 6
#define IPPROTO_UDP 17

struct in_addr {
	uint32_t s_addr;
};

struct in6_addr {
	uint8_t s6_addr[16];
};

struct sockaddr_in {
	uint8_t sin_len;
	uint8_t sin_family;
	uint16_t sin_port;
	struct in_addr sin_addr;
	char sin_zero[8];
};

struct sockaddr_in6 {
	uint8_t sin6_len;
	uint8_t sin6_family;
	uint16_t sin6_port;
	uint32_t sin6_flowinfo;
	struct in6_addr sin6_addr;
	uint32_t sin6_scope_id;
};

#endif
