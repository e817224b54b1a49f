// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* libosq.c - see libosq.h. */
#include "libosq.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __linux__
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "records are little-endian, and read as they lie in memory"
#endif

/*
 * The ABI for which a file was built, readable without running it; as in the
 * driver.
 */
#define TEXT(word) #word
#define TEXT_OF(name) TEXT(name)
__attribute__((used)) static const char abi_stamp[] =
	"osq_abi=" TEXT_OF(OSQ_ABI_VERSION);

static int call(int fd, unsigned long request, void *argument)
{
	return ioctl(fd, request, argument) ? -errno : 0;
}

#ifdef __APPLE__
/*
 * On macOS the driver maps the ring and also unmaps it, so munmap must not be
 * called.
 */
static int map_ring(int fd, uint64_t bytes, void **ring)
{
	struct osq_map map;
	int err = call(fd, OSQ_IOC_MAP, &map);

	if (!err && map.map_bytes != bytes)
		err = -EPROTO;
	*ring = (void *)(uintptr_t)map.address;
	return err;
}

static void unmap_ring(const void *ring, uint64_t bytes)
{
	(void)ring;
	(void)bytes;
}
#else
static int map_ring(int fd, uint64_t bytes, void **ring)
{
	*ring = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	return *ring == MAP_FAILED ? -errno : 0;
}

static void unmap_ring(const void *ring, uint64_t bytes)
{
	munmap((void *)ring, bytes);
}
#endif

/* Without a ring there is nothing to read, so next() returns at once. */
static void unmap(struct osq_client *client)
{
	if (client->ring)
		unmap_ring(client->ring, client->map_bytes);
	client->ring = NULL;
	client->read_pos = 0;
	client->max_pos = 0;
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
	err = map_ring(client->fd, allocate.map_bytes, &map);
	if (err)
		return err;
	client->ring = map;
	client->ring_bytes = ring_bytes;
	client->map_bytes = allocate.map_bytes;
	client->generation = allocate.generation;
	return 0;
}

int osq_client_open(struct osq_client *client, const char *device,
		    uint64_t ring_bytes)
{
	int err;

	memset(client, 0, sizeof(*client));
	client->fd = open(device ? device : OSQ_DEVICE, O_RDWR | O_CLOEXEC);
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

int osq_client_subscribe(struct osq_client *client, uint32_t type, int on,
			 uint64_t options)
{
	struct osq_subscribe subscribe = {
		.type = type,
		.on = !!on,
		.options = options,
	};

	return call(client->fd, OSQ_IOC_SUBSCRIBE, &subscribe);
}

int osq_client_watch(struct osq_client *client, const char *path,
		     uint64_t actions)
{
	struct osq_watch watch = {
		.on = !!actions,
		.path_bytes = (uint32_t)strnlen(path, OSQ_WATCH_PATH_BYTES),
		.actions = actions,
	};

	/*
	 * A path that is too long is passed on, so that the driver refuses it.
	 */
	memcpy(watch.path, path, watch.path_bytes);
	return call(client->fd, OSQ_IOC_WATCH, &watch);
}

int osq_client_caps(struct osq_client *client, struct osq_caps *caps)
{
	return call(client->fd, OSQ_IOC_CAPS, caps);
}

int osq_client_notify(struct osq_client *client, uint32_t watermark_bytes,
		      uint32_t latency_ms)
{
	struct osq_notify notify = {
		.watermark_bytes = watermark_bytes,
		.latency_ms = latency_ms,
	};

	return call(client->fd, OSQ_IOC_NOTIFY, &notify);
}

int osq_client_share(struct osq_client *client, uint32_t type, uint32_t percent)
{
	struct osq_share share = { .type = type, .percent = percent };

	return call(client->fd, OSQ_IOC_SHARE, &share);
}

int osq_client_filter(struct osq_client *client,
		      const struct osq_filter *filter)
{
	return call(client->fd, OSQ_IOC_FILTER, (void *)filter);
}

#ifdef __linux__
int osq_client_limit_rights(uint64_t kept)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
	int half;

	/* A setuid program that it starts must give none of them back. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_capget, &head, sets))
		return -errno;
	for (half = 0; half < _LINUX_CAPABILITY_U32S_3; half++) {
		sets[half].permitted &= (uint32_t)(kept >> 32 * half);
		sets[half].effective &= (uint32_t)(kept >> 32 * half);
		sets[half].inheritable = 0;
	}
	return syscall(SYS_capset, &head, sets) ? -errno : 0;
}
#else
int osq_client_limit_rights(uint64_t kept)
{
	(void)kept;
	return 0;
}
#endif

int osq_client_give_up_rights(void)
{
	return osq_client_limit_rights(0);
}

int osq_client_stats(struct osq_client *client, struct osq_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	return call(client->fd, OSQ_IOC_STATS, stats);
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

/* Return the record at read_pos, or NULL when its bytes cannot be a record. */
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
		/* A discarded record keeps its place in the ring. */
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

static uint64_t sum(const __u64 *of, int count)
{
	uint64_t total = 0;

	while (count--)
		total += of[count];
	return total;
}

static const char attempts_law[] =
	"attempts = committed + in_flight + sum of dropped";
static const char committed_law[] = "committed = consumed + pending + reset";

const char *osq_client_broken_law(const struct osq_sync *sync)
{
	uint64_t dropped = sum(sync->dropped, OSQ_DROP_COUNT);

	if (sync->attempts != sync->committed + sync->in_flight + dropped)
		return attempts_law;
	if (sync->committed != sync->consumed + sync->pending + sync->reset)
		return committed_law;
	if (dropped != sum(sync->dropped_of, OSQ_TYPE_COUNT))
		return "sum of dropped = sum of dropped_of";
	return NULL;
}

const char *osq_client_broken_stats(const struct osq_stats *stats)
{
	uint64_t attempts = 0, committed = 0, dropped = 0;
	int type;

	for (type = 0; type < OSQ_TYPE_COUNT; type++) {
		const struct osq_type_counters *one = &stats->type[type];
		uint64_t lost = sum(one->dropped, OSQ_DROP_COUNT);

		/* Open reservations are counted for all types together. */
		if (one->attempts < one->committed + lost)
			return "attempts of a type >= its committed + dropped";
		attempts += one->attempts;
		committed += one->committed;
		dropped += lost;
	}
	if (stats->attempts != stats->committed + stats->in_flight + dropped)
		return attempts_law;
	if (stats->committed != stats->consumed + stats->pending + stats->reset)
		return committed_law;
	if (stats->attempts != attempts || stats->committed != committed)
		return "attempts, committed = their sums over the types";
	return NULL;
}
