// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * osqstress.c - drive the test build from many threads, read along, and
 * account for every record; or crash it.
 *
 *	osqstress run [-p PRODUCERS] [-n COUNT] [-r RING_BYTES] [-b BYTES]
 *		      [-c task|softirq|irq|mixed] [-s PAUSE_US] [-w WATERMARK]
 *	osqstress crash KIND
 *	osqstress refused	what a release client hears from a test build
 *
 * 'run' prints one JSON object; it exits with 1 when anything is missing,
 * doubled, out of order, garbled or not accounted for.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libosq.h"
#include "osq_test.h"

#define MOST_PRODUCERS 64u
#define CHUNK 1000u /* attempts in one ioctl */
#define LATENCY_MS 50u
/* As the original's two test events, with a header of ours: 33 and 4096. */
#define SMALL_BYTES 120u
#define LARGE_BYTES 4176u

struct plan {
	uint32_t producers, bytes, watermark;
	uint64_t count, ring_bytes;
	int context; /* enum osq_test_context, or -1 for one after the other */
	useconds_t pause_us;
};

struct producer {
	pthread_t thread;
	const struct plan *plan;
	int fd, err;
	uint32_t id;
	uint64_t committed, refused, took[OSQ_TEST_BUCKETS];
};

struct reader {
	uint64_t read, lost_told, lost_records, discarded, syncs;
	uint64_t last_seq, last_ts;
	uint64_t next[MOST_PRODUCERS]; /* the least that may come */
	const char *fault;
	char detail[160];
};

static struct producer producers[MOST_PRODUCERS];
static atomic_uint running;

static uint32_t bytes_of(const struct plan *plan, uint64_t chunk)
{
	if (plan->bytes)
		return plan->bytes;
	return chunk % 4 ? SMALL_BYTES : LARGE_BYTES;
}

static void *produce(void *argument)
{
	struct producer *own = argument;
	const struct plan *plan = own->plan;
	uint64_t left = plan->count, chunk;
	int i;

	for (chunk = 0; left && !own->err; chunk++) {
		struct osq_test_produce order = {
			.producer = own->id,
			.first = plan->count - left,
			.count = left < CHUNK ? left : CHUNK,
			.bytes = bytes_of(plan, chunk),
		};

		order.context = plan->context >= 0
					? (uint32_t)plan->context
					: own->id % OSQ_TEST_CONTEXTS;
		if (ioctl(own->fd, OSQ_IOC_TEST_PRODUCE, &order)) {
			own->err = errno;
			break;
		}
		left -= order.count;
		own->committed += order.committed;
		own->refused += order.refused;
		for (i = 0; i < OSQ_TEST_BUCKETS; i++)
			own->took[i] += order.took[i];
	}
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static int fail(struct reader *reader, const char *fault,
		const struct osq_record *record)
{
	reader->fault = fault;
	snprintf(reader->detail, sizeof(reader->detail),
		 "seq %llu after %llu, type %u, pos %llu, len %u",
		 (unsigned long long)record->seq,
		 (unsigned long long)reader->last_seq, record->type,
		 (unsigned long long)record->pos, record->len);
	return -1;
}

/* Every byte behind the fixed part must be what its number says. */
static int check_test(struct reader *reader, const struct osq_record *record)
{
	const struct osq_test_record *test = (const void *)record;
	const uint8_t *bytes = (const uint8_t *)record;
	uint32_t i;
	uint8_t mark;

	if (record->len < sizeof(*test) || test->producer >= MOST_PRODUCERS)
		return fail(reader, "a record that is none of ours", record);
	mark = (uint8_t)(test->producer + test->number);
	for (i = sizeof(*test); i < record->len; i++)
		if (bytes[i] != mark)
			return fail(reader, "garbled bytes", record);
	if (test->number < reader->next[test->producer])
		return fail(reader, "out of order", record);
	reader->next[test->producer] = test->number + 1;
	reader->read++;
	return 0;
}

static int check(struct reader *reader, const struct osq_record *record)
{
	const struct osq_lost *lost = (const void *)record;
	uint64_t told = 0;
	int reason;

	if (record->ts_boot_ns < reader->last_ts)
		return fail(reader, "time goes back", record);
	reader->last_ts = record->ts_boot_ns;
	if (record->type == OSQ_TYPE_LOST) {
		for (reason = 0; reason < OSQ_DROP_COUNT; reason++)
			told += lost->dropped[reason];
		if (lost->first_seq != reader->last_seq + 1 ||
		    lost->last_seq != record->seq - 1 ||
		    told != record->seq - lost->first_seq)
			return fail(reader, "LOST tells another gap", record);
		reader->lost_told += told;
		reader->lost_records++;
	} else if (record->seq != reader->last_seq + 1) {
		return fail(reader, "a gap that nobody tells of", record);
	}
	reader->last_seq = record->seq;
	return record->type == OSQ_TYPE_TEST ? check_test(reader, record) : 0;
}

static int read_batch(struct osq_client *client, struct reader *reader)
{
	const struct osq_record *record;
	int got;

	while ((got = osq_client_next(client, &record)) == 1)
		if (check(reader, record))
			return -1;
	if (got < 0) {
		reader->fault = "a record that cannot be right";
		return -1;
	}
	return 0;
}

static int sync_checked(struct osq_client *client, struct reader *reader)
{
	int err = osq_client_sync(client, 0);

	reader->syncs++;
	if (err) {
		reader->fault = strerror(-err);
		return -1;
	}
	reader->fault = osq_client_broken_law(&client->stats);
	return reader->fault ? -1 : 0;
}

/* Read until all producers have ended and nothing is left. */
static void read_all(struct osq_client *client, struct reader *reader,
		     const struct plan *plan)
{
	unsigned int left;

	do {
		left = atomic_load(&running);
		if (sync_checked(client, reader) || read_batch(client, reader))
			return;
		if (plan->pause_us)
			usleep(plan->pause_us);
	} while (left || client->read_pos != client->stats.max_pos ||
		 client->stats.pending);
	sync_checked(client, reader);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void print_histogram(void)
{
	uint64_t sum;
	uint32_t i;
	int bucket;

	printf(",\"took_log2_ns\":[");
	for (bucket = 0; bucket < OSQ_TEST_BUCKETS; bucket++) {
		for (sum = 0, i = 0; i < MOST_PRODUCERS; i++)
			sum += producers[i].took[bucket];
		printf("%s%llu", bucket ? "," : "", (unsigned long long)sum);
	}
	printf("]");
}

/* What the driver says, what the producers say, what was read: all one. */
static int compare(const struct osq_client *client, struct reader *reader,
		   const struct plan *plan, double took_s)
{
	const struct osq_sync *said = &client->stats;
	uint64_t committed = 0, refused = 0, after_last;
	uint32_t i;

	for (i = 0; i < plan->producers; i++) {
		committed += producers[i].committed;
		refused += producers[i].refused;
		if (producers[i].err && !reader->fault)
			reader->fault = strerror(producers[i].err);
	}
	after_last = said->attempts - reader->last_seq;
	if (reader->fault)
		;
	else if (committed + refused != plan->count * plan->producers)
		reader->fault = "producers made another number of attempts";
	else if (reader->read != committed)
		reader->fault = "records are missing or doubled";
	else if (said->dropped_of[OSQ_TYPE_TEST] != refused)
		reader->fault = "drops are not those of the producers";
	else if (reader->lost_told + after_last != refused)
		reader->fault = "LOST records tell another number of drops";
	else if (said->committed != reader->read + reader->lost_records ||
		 said->consumed != said->committed || said->in_flight)
		reader->fault = "the driver's counters say otherwise";
	printf("{\"attempts\":%llu,\"committed\":%llu,\"dropped\":%llu,"
	       "\"read\":%llu,\"lost_records\":%llu,\"syncs\":%llu,"
	       "\"seconds\":%.3f",
	       (unsigned long long)(committed + refused),
	       (unsigned long long)committed, (unsigned long long)refused,
	       (unsigned long long)reader->read,
	       (unsigned long long)reader->lost_records,
	       (unsigned long long)reader->syncs, took_s);
	print_histogram();
	printf(",\"fault\":\"%s\",\"detail\":\"%s\"}\n",
	       reader->fault ? reader->fault : "", reader->detail);
	return reader->fault ? 1 : 0;
}

static int run(const struct plan *plan)
{
	static struct reader reader;
	struct osq_client client;
	double began;
	uint32_t i;
	int err = osq_client_open(&client, NULL, plan->ring_bytes);

	if (!err && plan->watermark)
		err = osq_client_notify(&client, plan->watermark, LATENCY_MS);
	if (!err)
		err = osq_client_subscribe(&client, OSQ_TYPE_TEST, 1, 0);
	if (err) {
		fprintf(stderr, "osqstress: %s: %s\n", OSQ_DEVICE,
			strerror(-err));
		return 1;
	}
	began = seconds();
	atomic_store(&running, plan->producers);
	for (i = 0; i < plan->producers; i++) {
		producers[i].plan = plan;
		producers[i].fd = client.fd;
		producers[i].id = i;
		pthread_create(&producers[i].thread, NULL, produce,
			       &producers[i]);
	}
	read_all(&client, &reader, plan);
	for (i = 0; i < plan->producers; i++)
		pthread_join(producers[i].thread, NULL);
	return compare(&client, &reader, plan, seconds() - began);
}

static int crash(uint32_t kind)
{
	int fd = open(OSQ_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, OSQ_IOC_TEST_CRASH, &kind)) {
		perror("osqstress crash");
		return 1;
	}
	return 0;
}

/* The errno of ALLOCATE with a release's ABI. */
static int refused(void)
{
	struct osq_allocate request = { .abi = OSQ_ABI_RELEASE,
					.ring_bytes = OSQ_RING_MIN_BYTES };
	int fd = open(OSQ_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return 1;
	printf("%d\n", ioctl(fd, OSQ_IOC_ALLOCATE, &request) ? errno : 0);
	return 0;
}

static int context_of(const char *name)
{
	static const char *const names[] = { "task", "softirq", "irq" };
	int i;

	for (i = 0; i < OSQ_TEST_CONTEXTS; i++)
		if (!strcmp(name, names[i]))
			return i;
	return -1;
}

int main(int argc, char **argv)
{
	struct plan plan = { .producers = 20,
			     .count = 1000,
			     .ring_bytes = 8u << 20 };
	int letter;

	if (argc == 3 && !strcmp(argv[1], "crash"))
		return crash((uint32_t)strtoul(argv[2], NULL, 0));
	if (argc == 2 && !strcmp(argv[1], "refused"))
		return refused();
	if (argc < 2 || strcmp(argv[1], "run"))
		return 2;
	optind = 2;
	while ((letter = getopt(argc, argv, "p:n:r:b:c:s:w:")) != -1) {
		unsigned long long value =
			strtoull(optarg ? optarg : "", NULL, 0);

		if (letter == 'p' && value <= MOST_PRODUCERS)
			plan.producers = (uint32_t)value;
		else if (letter == 'n')
			plan.count = value;
		else if (letter == 'r')
			plan.ring_bytes = value;
		else if (letter == 'b')
			plan.bytes = (uint32_t)value;
		else if (letter == 's')
			plan.pause_us = (useconds_t)value;
		else if (letter == 'w')
			plan.watermark = (uint32_t)value;
		else if (letter == 'c')
			plan.context = context_of(optarg);
		else
			return 2;
	}
	return run(&plan);
}
