/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * osqhost.h - /dev/osquery without a kernel: what server and client say.
 *
 * osqhostd holds the real core (kernel/core on kernel/os/host) and serves it
 * at a socket. libosqhost.so, preloaded, carries a program's open, ioctl and
 * mmap of that socket's path there. So an unchanged client meets the real
 * ring, and may be killed like the owner of the real device.
 *
 * One SOCK_SEQPACKET packet asks, one answers. The answer to OPEN has a
 * descriptor that becomes readable when it is time to read; the answer to
 * MMAP has the ring's memory.
 */
#ifndef OSQHOST_H
#define OSQHOST_H

#include <stdint.h>

#include "osq.h"

enum osqhost_op {
	OSQHOST_OPEN = 1,
	OSQHOST_IOCTL = 2,
	OSQHOST_MMAP = 3,
};

struct osqhost_packet {
	uint32_t op; /* enum osqhost_op */
	int32_t err; /* in an answer: 0 or a negative errno */
	uint32_t code; /* of the ioctl */
	uint32_t reserved;
	union {
		struct osq_version version;
		struct osq_allocate allocate;
		struct osq_subscribe subscribe;
		struct osq_sync sync;
		struct osq_caps caps;
		struct osq_stats stats;
		struct osq_notify notify;
		struct osq_filter filter;
		struct osq_share share;
		struct osq_watch watch;
		uint64_t map_bytes;
	} body;
};

#endif
