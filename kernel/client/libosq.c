// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* libosq.c - see libosq.h. */
#include "libosq.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int call(int fd, unsigned long request, void *argument)
{
	return ioctl(fd, request, argument) ? -errno : 0;
}

static void unmap(struct osq_client *client)
{
	if (client->ring)
		munmap((void *)client->ring, client->map_bytes);
	client->ring = NULL;
}

int osq_client_allocate(struct osq_client *client, uint64_t ring_bytes)
{
	struct osq_allocate allocate = {
		.abi = OSQ_ABI_VERSION,
		.ring_bytes = ring_bytes,
	};
	int err = call(client->fd, OSQ_IOC_ALLOCATE, &allocate);
	void *map;

	if (err)
		return err;
	unmap(client);
	map = mmap(NULL, allocate.map_bytes, PROT_READ, MAP_SHARED, client->fd,
		   0);
	if (map == MAP_FAILED)
		return -errno;
	client->ring = map;
	client->ring_bytes = ring_bytes;
	client->map_bytes = allocate.map_bytes;
	client->generation = allocate.generation;
	client->read_pos = 0;
	client->max_pos = 0;
	return 0;
}

int osq_client_open(struct osq_client *client, uint64_t ring_bytes)
{
	int err;

	memset(client, 0, sizeof(*client));
	client->fd = open(OSQ_DEVICE, O_RDWR | O_CLOEXEC);
	if (client->fd < 0)
		return -errno;
	err = osq_client_allocate(client, ring_bytes);
	if (err)
		osq_client_close(client);
	return err;
}

void osq_client_close(struct osq_client *client)
{
	unmap(client);
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

int osq_client_subscribe(struct osq_client *client, uint32_t type, int on)
{
	struct osq_subscribe subscribe = { .type = type, .on = !!on };

	return call(client->fd, OSQ_IOC_SUBSCRIBE, &subscribe);
}

int osq_client_sync(struct osq_client *client, int wait)
{
	struct osq_sync sync = {
		.generation = client->generation,
		.flags = wait ? OSQ_SYNC_WAIT : 0,
		.read_pos = client->read_pos,
	};
	int err = call(client->fd, OSQ_IOC_SYNC, &sync);

	if (err)
		return err;
	client->stats = sync;
	client->max_pos = sync.max_pos;
	return 0;
}

/* The record at read_pos, or NULL when it cannot be right. */
static const struct osq_record *look(const struct osq_client *client)
{
	uint64_t left = client->max_pos - client->read_pos;
	uint64_t at = client->read_pos & (client->ring_bytes - 1);
	const struct osq_record *found = (const void *)(client->ring + at);
	uint32_t len;

	if (left > client->ring_bytes || left < sizeof(*found) ||
	    at % OSQ_RECORD_ALIGN)
		return NULL;
	len = found->len;
	if (len < sizeof(*found) || len > left || len > OSQ_RECORD_MAX_BYTES ||
	    len % OSQ_RECORD_ALIGN)
		return NULL;
	if (found->pos != client->read_pos || found->seq <= client->last_seq)
		return NULL;
	return found;
}

int osq_client_next(struct osq_client *client, const struct osq_record **record)
{
	const struct osq_record *found;

	while (client->read_pos != client->max_pos) {
		found = look(client);
		if (!found)
			return -EBADMSG;
		client->last_seq = found->seq;
		client->read_pos += found->len;
		if (found->type == OSQ_TYPE_NONE)
			continue;
		*record = found;
		return 1;
	}
	return 0;
}

const char *osq_client_bytes(const struct osq_record *record,
			     const struct osq_span *span)
{
	if (span->off < sizeof(*record) || span->off > record->len ||
	    span->len > record->len - span->off)
		return NULL;
	return (const char *)record + span->off;
}

int osq_client_law_holds(const struct osq_sync *stats)
{
	uint64_t accounted = stats->committed + stats->in_flight;
	int reason;

	for (reason = 0; reason < OSQ_DROP_COUNT; reason++)
		accounted += stats->dropped[reason];
	return stats->attempts == accounted &&
	       stats->committed ==
		       stats->consumed + stats->pending + stats->reset;
}
