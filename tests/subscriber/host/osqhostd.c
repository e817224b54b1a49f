// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqhostd.c - the driver's core in a process of its own; see osqhost.h.
 *
 *	osqhostd SOCKET
 *
 * Commands come as lines on standard input, each is answered by a line:
 *	burst N		publish N programs at once
 *	program UID PID_NS CGROUP PATH	publish this one
 *	record HEX	publish the record of these bytes
 *	rate N		publish N records a second from now on; 0: stop
 *	invalidate	as if another process had used the device
 *	garbage		overwrite what is committed and unread
 *	ledger FILE	write each event from now on into a file; see produce.h
 *	stats		the counters of the session; also writes the ledger out
 * The end of input ends the server. When an owner has left, a line says
 * what was counted in its session: that is the truth of the tests.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "osq_device.h"
#include "osq_host.h"
#include "osqhost.h"
#include "produce.h"

#define TICK_MS 1
#define RECORD_BYTES 4096u /* of one that comes on standard input */

static struct {
	struct osq_device device;
	struct osq_session session;
	void *data;
	u64 size;
	int memory; /* of data */
	int client; /* the owner's socket, or -1 */
	int ready; /* eventfd: time to read */
	int told; /* ready was raised, and no SYNC came since */
} host = { .memory = -1, .client = -1, .ready = -1 };

static void free_ring(void)
{
	if (!host.data)
		return;
	osq_host_unmap(host.data, host.size);
	close(host.memory);
	host.data = NULL;
	/* A new ring has none. */
	produce_unfiltered();
}

static int set_filter(const struct osq_filter *filter)
{
	int err = osq_device_check_filter(&host.session, filter);

	if (!err)
		produce_filter(filter);
	return err;
}

static void say_counters(const char *what)
{
	const struct osq_counters *count = &host.session.ring.count;
	u64 dropped = 0, filtered = 0;
	int i;

	for (i = 0; i < OSQ_DROP_COUNT; i++)
		dropped += count->dropped[i];
	for (i = 0; i < OSQ_TYPE_COUNT; i++)
		filtered += osq_os_count(&count->filtered_of[i]);
	printf("{\"%s\":{\"attempts\":%llu,\"committed\":%llu,\"consumed\":"
	       "%llu,\"reset\":%llu,\"dropped\":%llu,\"filtered\":%llu}}\n",
	       what, (unsigned long long)count->attempts,
	       (unsigned long long)count->committed,
	       (unsigned long long)count->consumed,
	       (unsigned long long)count->reset, (unsigned long long)dropped,
	       (unsigned long long)filtered);
	fflush(stdout);
}

static void owner_left(void)
{
	osq_device_detach(&host.device, &host.session);
	free_ring();
	close(host.client);
	close(host.ready);
	host.client = -1;
	host.ready = -1;
	host.told = 0;
	say_counters("session");
}

static int allocate(struct osq_allocate *request)
{
	int err = osq_device_check_allocate(&host.session, request);

	if (err)
		return err;
	free_ring();
	host.size = request->ring_bytes;
	host.data = osq_host_map_shared(host.size, &host.memory);
	if (!host.data)
		return -ENOMEM;
	return osq_device_allocate(&host.device, &host.session, request,
				   host.data);
}

static int serve_ioctl(struct osqhost_packet *packet)
{
	switch (packet->code) {
	case OSQ_IOC_ALLOCATE:
		return allocate(&packet->body.allocate);
	case OSQ_IOC_SUBSCRIBE:
		return osq_device_subscribe(&host.session,
					    &packet->body.subscribe);
	case OSQ_IOC_NOTIFY:
		return osq_device_notify(&host.session, &packet->body.notify);
	case OSQ_IOC_SHARE:
		return osq_device_share(&host.session, &packet->body.share);
	case OSQ_IOC_FILTER:
		return set_filter(&packet->body.filter);
	case OSQ_IOC_WATCH:
		/* Each file record is one of a watched path here. */
		return 0;
	case OSQ_IOC_SYNC:
		host.told = 0;
		return osq_device_sync(&host.session, &packet->body.sync);
	case OSQ_IOC_STATS:
		return osq_device_stats(&host.session, &packet->body.stats);
	case OSQ_IOC_CAPS:
		osq_device_caps(&packet->body.caps, getpagesize());
		return 0;
	default:
		return -ENOTTY;
	}
}

static void answer(int to, struct osqhost_packet *packet, int pass)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr head;
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS } };
	struct iovec bytes = { packet, sizeof(*packet) };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1 };

	if (pass >= 0) {
		memcpy(CMSG_DATA(&control.head), &pass, sizeof(pass));
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
	}
	/* A reader that has died meanwhile is met by the next recv. */
	if (sendmsg(to, &message, MSG_NOSIGNAL) < 0 && errno != EPIPE &&
	    errno != ECONNRESET)
		perror("osqhostd: sendmsg");
}

static void serve_client(void)
{
	struct osqhost_packet packet;
	int pass = -1;

	if (recv(host.client, &packet, sizeof(packet), 0) <= 0) {
		owner_left();
		return;
	}
	if (packet.op == OSQHOST_IOCTL) {
		packet.err = serve_ioctl(&packet);
	} else if (packet.op == OSQHOST_MMAP) {
		packet.err = packet.body.map_bytes == 2 * host.size ? 0
								    : -EINVAL;
		pass = packet.err ? -1 : host.memory;
	} else {
		packet.err = -EINVAL;
	}
	answer(host.client, &packet, pass);
}

static void serve_newcomer(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct osqhost_packet packet;

	if (fd < 0 || recv(fd, &packet, sizeof(packet), 0) <= 0) {
		close(fd);
		return;
	}
	packet.err = osq_device_attach(&host.device, &host.session, &host);
	if (packet.err) {
		answer(fd, &packet, -1);
		close(fd);
		return;
	}
	host.client = fd;
	host.ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	answer(fd, &packet, host.ready);
}

/* What a kernel's wait queue does; here a look every tick. */
static void tell_reader(void)
{
	uint64_t one = 1;
	u64 wait_ns;
	int due;

	if (host.client < 0 || host.told)
		return;
	due = host.session.queue == OSQ_QUEUE_INVALID ||
	      (host.session.queue == OSQ_QUEUE_VALID &&
	       osq_ring_ready(&host.session.ring, &wait_ns) == OSQ_READY_NOW);
	if (due && write(host.ready, &one, sizeof(one)) == sizeof(one))
		host.told = 1;
}

static void garbage(void)
{
	const struct osq_ring *ring = &host.session.ring;
	u64 at;

	for (at = ring->read_pos; at < ring->commit_pos; at += 8)
		memset(ring->data + (at & (ring->size - 1)), 0xa5, 8);
}

/* Returns 0, or -1 for what is no record in hexadecimal digits. */
static int publish_hex(const char *digits)
{
	union {
		struct osq_record record;
		unsigned char bytes[RECORD_BYTES];
	} one = { 0 };
	size_t count = 0;

	while (count < sizeof(one.bytes) &&
	       sscanf(digits + 2 * count, "%2hhx", &one.bytes[count]) == 1)
		count++;
	if (count < sizeof(one.record) || count != one.record.len ||
	    one.record.type >= OSQ_TYPE_COUNT)
		return -1;
	produce_record(&one.record);
	return 0;
}

static void obey(const char *line)
{
	unsigned long long number = 0;
	char path[PROGRAM_PATH_MAX + 1];
	struct program program = { .path = path };

	if (sscanf(line, "burst %llu", &number) == 1) {
		produce_burst(number);
	} else if (sscanf(line,
			  "program %" SCNu32 " %" SCNu32 " %" SCNu64 " %255s",
			  &program.uid, &program.pid_ns, &program.cgroup_id,
			  path) == 4) {
		produce_program(&program);
	} else if (!strncmp(line, "record ", 7) && !publish_hex(line + 7)) {
		/* It is published. */
	} else if (sscanf(line, "rate %llu", &number) == 1) {
		produce_rate(number);
	} else if (!strcmp(line, "invalidate\n")) {
		osq_device_invalidate(&host.session);
	} else if (!strcmp(line, "garbage\n")) {
		garbage();
	} else if (!strcmp(line, "stats\n")) {
		produce_ledger_flush();
	} else if (sscanf(line, "ledger %255s", path) != 1 ||
		   produce_ledger(path)) {
		printf("{\"error\":\"unknown command\"}\n");
		fflush(stdout);
		return;
	}
	say_counters("done");
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(fd, 8))
		return -1;
	return fd;
}

int main(int argc, char **argv)
{
	int listener = argc == 2 ? listen_at(argv[1]) : -1;
	static char line[2 * RECORD_BYTES + 16];

	if (listener < 0) {
		perror("osqhostd: SOCKET");
		return 2;
	}
	/* poll sees the descriptor, not what stdio has read ahead of it. */
	setvbuf(stdin, NULL, _IONBF, 0);
	printf("{\"ready\":true}\n");
	fflush(stdout);
	for (;;) {
		struct pollfd ready[] = {
			{ .fd = STDIN_FILENO, .events = POLLIN },
			{ .fd = listener, .events = POLLIN },
			{ .fd = host.client, .events = POLLIN },
		};

		if (poll(ready, 3, TICK_MS) < 0)
			break;
		if (ready[2].revents)
			serve_client();
		if (ready[1].revents)
			serve_newcomer(listener);
		if (ready[0].revents && !fgets(line, sizeof(line), stdin))
			break;
		if (ready[0].revents)
			obey(line);
		tell_reader();
	}
	produce_rate(0);
	unlink(argv[1]);
	return 0;
}
