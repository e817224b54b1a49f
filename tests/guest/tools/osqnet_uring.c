// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqnet_uring.c - connect and accept by io_uring, and a socket that is
 * closed by a worker of the kernel, after whoever had it has let go.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "osqnet.h"

struct uring {
	int fd;
	struct io_uring_params params;
	uint8_t *submit;
	uint8_t *complete;
	struct io_uring_sqe *entries;
};

static int ring_open(struct uring *ring)
{
	struct io_uring_params *params = &ring->params;

	memset(ring, 0, sizeof(*ring));
	ring->fd = (int)syscall(SYS_io_uring_setup, 4, params);
	if (ring->fd < 0)
		return -1;
	ring->submit = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			    ring->fd, IORING_OFF_SQ_RING);
	ring->complete = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			      ring->fd, IORING_OFF_CQ_RING);
	ring->entries = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			     ring->fd, IORING_OFF_SQES);
	return ring->submit == MAP_FAILED || ring->complete == MAP_FAILED ||
	       (void *)ring->entries == MAP_FAILED;
}

static void ring_close(struct uring *ring)
{
	munmap(ring->submit, 4096);
	munmap(ring->complete, 4096);
	munmap(ring->entries, 4096);
	close(ring->fd);
}

/* Have one entry done; returns its result. */
static int ring_do(struct uring *ring, const struct io_uring_sqe *entry)
{
	uint32_t *tail = (uint32_t *)(ring->submit + ring->params.sq_off.tail);
	uint32_t *index =
		(uint32_t *)(ring->submit + ring->params.sq_off.array);
	uint32_t *done =
		(uint32_t *)(ring->complete + ring->params.cq_off.head);
	struct io_uring_cqe *results =
		(void *)(ring->complete + ring->params.cq_off.cqes);
	uint32_t at = *tail % ring->params.sq_entries;
	int result;

	ring->entries[at] = *entry;
	index[at] = at;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS,
		    NULL, 0) < 0)
		return -errno;
	result = results[*done % ring->params.cq_entries].res;
	__atomic_store_n(done, *done + 1, __ATOMIC_RELEASE);
	return result;
}

static int connect_and_accept(struct uring *ring)
{
	struct net listener, client, net = { 0 };
	struct address at = address_ip(AF_INET, "127.0.0.1", 0);
	int result;

	if (net_open(&listener, AF_INET, SOCK_STREAM) ||
	    net_bind(&listener, &at) || net_listen(&listener, 4) ||
	    net_open(&client, AF_INET, SOCK_STREAM))
		return -1;
	at = address_of(&listener);
	result = ring_do(ring,
			 &(struct io_uring_sqe){ .opcode = IORING_OP_CONNECT,
						 .fd = client.fd,
						 .addr = (uintptr_t)&at.any,
						 .off = at.bytes });
	client.peer = at;
	net_said("connect", &client, -result, &at, 0);
	net.fd = ring_do(ring,
			 &(struct io_uring_sqe){ .opcode = IORING_OP_ACCEPT,
						 .fd = listener.fd });
	if (result || net.fd < 0)
		return -1;
	net.peer = address_of(&client);
	net_said("accept", &net, 0, NULL, 0);
	return net_close(&net) || net_close(&client) || net_close(&listener);
}

/*
 * The ring has the last reference to a socket's file; when it goes, a worker
 * takes it apart, and so closes the socket. Its port is free then.
 */
static int close_by_worker(struct uring *ring)
{
	const struct timespec while_ns = { .tv_nsec = 20000000 };
	struct address at = address_ip(AF_INET6, "::1", 0);
	struct net net, next;
	int left = 1000;

	if (net_open(&net, AF_INET6, SOCK_STREAM) || net_bind(&net, &at) ||
	    net_open(&next, AF_INET6, SOCK_STREAM) ||
	    syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_FILES,
		    &net.fd, 1))
		return -1;
	at = address_of(&net);
	net_said("close_elsewhere", &net, 0, NULL, 0);
	close(net.fd);
	ring_close(ring);
	while (net_bind(&next, &at) && --left)
		nanosleep(&while_ns, NULL);
	return net_close(&next) || !left;
}

int scene_uring(void)
{
	struct uring ring;

	if (ring_open(&ring) || connect_and_accept(&ring) ||
	    close_by_worker(&ring)) {
		perror("osqnet: io_uring");
		return 1;
	}
	return 0;
}
