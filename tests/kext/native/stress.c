// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * stress.c - use the kext from many threads at once: programs are run, the
 * owner reads and waits, subscribes and unsubscribes, closes and opens again.
 * At the end all counters must add up, and nothing may be left.
 *
 * stress SECONDS WRITERS
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "native.h"
#include "osq.h"

#define RING_BYTES (1u << 16)
#define OWNER_PID 1
#define FILEOP_EXEC 6
#define MOST_WRITERS 16
#define BSD(direction, number, type) \
	((direction) | (unsigned long)sizeof(type) << 16 | 'q' << 8 | (number))
#define IN 0x80000000ul
#define OUT 0x40000000ul

struct kmod_info;
struct kmod {
	char head[180];
	int (*start)(void *info, void *data);
	int (*stop)(void *info, void *data);
} __attribute__((packed));
extern struct kmod kmod_info;

static atomic_bool over;
static unsigned long long fired[MOST_WRITERS], seen, lost, opened;

/*
 * exit() must not be used: the writers run on, and one may be in the middle of
 * a sanitizer's report. The search for leaks at exit holds the loader's lock
 * (dl_iterate_phdr) and waits for the lock of the threads; a report holds the
 * latter and waits for the loader's. Neither ends (compiler-rt 14).
 */
static void fail(const char *what, long number)
{
	printf("not ok - %s: %ld\n", what, number);
	fflush(stdout);
	_exit(1);
}

static void must(const char *what, int err)
{
	if (err)
		fail(what, err);
}

static int ask(unsigned long command, void *argument)
{
	return native_cdevsw()->ioctl(0, command, argument, 0, NULL);
}

/* Run programs in one of many processes, again and again. */
static void *writer(void *argument)
{
	unsigned long long *count = argument;
	char path[64];

	native_be(2 + (int)(count - fired));
	while (!atomic_load(&over)) {
		int i;

		snprintf(path, sizeof(path), "/bin/%d/%llu",
			 (int)(count - fired), *count);
		for (i = 0; i < 15; i++) {
			native_listener *one = native_listeners(i);

			if (one)
				one(NULL, NULL, FILEOP_EXEC, 1, (uintptr_t)path,
				    0, 0);
		}
		++*count;
	}
	return NULL;
}

static void subscribe(int on)
{
	struct osq_subscribe order = { .type = OSQ_TYPE_EXEC, .on = (__u32)on };

	must("subscribe", ask(BSD(IN, 3, order), &order));
}

/* Check that each record is complete, in its place, and in order. */
static void look(const struct osq_record *record, __u64 pos, __u64 *seq)
{
	const struct osq_exec *exec = (const void *)record;
	const char *path = (const char *)record + exec->path.off;

	if (record->pos != pos || record->seq <= *seq)
		fail("a record is out of its place", (long)pos);
	*seq = record->seq;
	if (record->type == OSQ_TYPE_LOST) {
		const struct osq_lost *gap = (const void *)record;

		lost += gap->last_seq - gap->first_seq + 1;
		return;
	}
	if (record->type != OSQ_TYPE_EXEC ||
	    exec->path.off + exec->path.len > record->len ||
	    strncmp(path, "/bin/", 5) ||
	    atoi(path + 5) != (int)record->pid - 2)
		fail("a record is another's", (long)record->seq);
	seen++;
}

static void check_counters(const struct osq_sync *sync)
{
	__u64 dropped = 0;
	int i;

	for (i = 0; i < OSQ_DROP_COUNT; i++)
		dropped += sync->dropped[i];
	if (sync->attempts != sync->committed + sync->in_flight + dropped ||
	    sync->committed != sync->consumed + sync->pending + sync->reset)
		fail("the counters do not add up", (long)sync->attempts);
}

static void read_for_a_while(const char *ring, __u32 generation, int rounds)
{
	struct osq_sync sync = { .generation = generation };
	__u64 seq = 0;

	while (rounds--) {
		__u64 pos = sync.read_pos;

		sync.flags = rounds % 3 ? OSQ_SYNC_WAIT : 0;
		must("sync", ask(BSD(IN | OUT, 4, sync), &sync));
		check_counters(&sync);
		while (pos != sync.max_pos) {
			const struct osq_record *record =
				(const void *)(ring + pos % RING_BYTES);

			look(record, pos, &seq);
			pos += record->len;
		}
		sync.read_pos = pos;
		if (rounds % 64 == 7) {
			subscribe(0);
			subscribe(1);
		}
	}
}

static void own_it(void)
{
	struct osq_allocate allocate = { .abi = OSQ_ABI_VERSION,
					 .ring_bytes = RING_BYTES };
	struct osq_map map;

	must("open", native_cdevsw()->open(0, 3, 0, NULL));
	must("allocate", ask(BSD(IN | OUT, 2, allocate), &allocate));
	must("map", ask(BSD(OUT, 10, map), &map));
	subscribe(1);
	read_for_a_while((const char *)(uintptr_t)map.address,
			 allocate.generation, 300);
	must("close", native_cdevsw()->close(0, 3, 0, NULL));
	opened++;
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	double until_s = now_s() + (argc > 1 ? atof(argv[1]) : 1.0);
	int writers = argc > 2 ? atoi(argv[2]) : 3, i;
	unsigned long long all = 0;
	pthread_t threads[MOST_WRITERS];

	native_be(OWNER_PID);
	must("start", kmod_info.start(&kmod_info, NULL));
	for (i = 0; i < writers; i++)
		pthread_create(&threads[i], NULL, writer, &fired[i]);
	do
		own_it();
	while (now_s() < until_s);
	if (!kmod_info.stop(&kmod_info, NULL))
		fail("stop did not wait for its grace", 0);
	atomic_store(&over, true);
	for (i = 0; i < writers; i++) {
		pthread_join(threads[i], NULL);
		all += fired[i];
	}
	usleep(3100000);
	must("stop", kmod_info.stop(&kmod_info, NULL));
	if (native_given())
		fail("something is left", native_given());
	printf("ok - %llu programs, %llu records, %llu lost and reported, %llu lives of the device\n",
	       all, seen, lost, opened);
	return 0;
}
