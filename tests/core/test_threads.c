// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * test_threads.c - exact sums with eight writers and one reader (B1, B2, B6).
 *
 * The reader checks every byte of every record, that numbers only grow, that
 * LOST or NONE explains each gap, and that the counters add up at every sync.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "fixture.h"

#define WRITERS 8
#define EACH 20000u

struct race {
	struct osq_ring ring;
	atomic_uint running; /* writers that still run */
	u64 next[WRITERS]; /* the reader's: lowest next number of a writer */
	u64 records, reported, last_seq, last_ts;
};

struct writer {
	struct race *race;
	u32 id;
};

struct payload {
	struct osq_record head;
	u64 number;
	u8 fill[448];
};

static void write_one(struct osq_ring *ring, struct payload *one, u32 id,
		      u64 number)
{
	u32 len = 72 + (u32)(number * 37 % 449);
	struct osq_slot slot;

	if (number % 16 == 3) {
		if (!osq_ring_reserve(ring, OSQ_TYPE_EXEC, (len + 7) & ~7u,
				      OSQ_RANK_ANY, &slot))
			osq_ring_discard(ring, &slot);
		return;
	}
	memset(one, 0, sizeof(one->head));
	one->head.len = len;
	one->head.type = OSQ_TYPE_EXEC;
	one->head.pid = id;
	one->head.tid = len;
	one->number = number;
	memset(one->fill, (int)(number & 0xff), sizeof(one->fill));
	/* After a loss let the reader run, so that much is read, too. */
	if (osq_ring_put(ring, &one->head, OSQ_RANK_ANY))
		sched_yield();
}

static void *write_all(void *argument)
{
	struct writer *writer = argument;
	struct payload one;
	u64 number;

	for (number = 0; number < EACH; number++)
		write_one(&writer->race->ring, &one, writer->id, number);
	atomic_fetch_sub(&writer->race->running, 1);
	return NULL;
}

static bool is_whole(const struct payload *one)
{
	u32 len = one->head.tid;
	u32 i;

	if (one->head.len != ((len + 7) & ~7u))
		return false;
	for (i = 72; i < one->head.len; i++)
		if (((const u8 *)one)[i] !=
		    (i < len ? (u8)(one->number & 0xff) : 0))
			return false;
	return true;
}

static void read_one(struct race *race, const struct osq_record *record)
{
	const struct payload *one = (const void *)record;
	const struct osq_lost *lost = (const void *)record;
	int reason;

	EXPECT(record->ts_boot_ns >= race->last_ts);
	race->last_ts = record->ts_boot_ns;
	if (record->type == OSQ_TYPE_LOST) {
		EXPECT_EQ(lost->first_seq, race->last_seq + 1);
		EXPECT_EQ(record->seq, lost->last_seq + 1);
		for (reason = 0; reason < OSQ_DROP_COUNT; reason++)
			race->reported += lost->dropped[reason];
	} else {
		EXPECT_EQ(record->seq, race->last_seq + 1);
	}
	race->last_seq = record->seq;
	if (record->type == OSQ_TYPE_NONE) {
		race->reported++;
		return;
	}
	race->records++;
	if (record->type != OSQ_TYPE_EXEC)
		return;
	EXPECT(is_whole(one));
	EXPECT(one->number >= race->next[one->head.pid]);
	race->next[one->head.pid] = one->number + 1;
}

/* Read until the writers have ended and the ring is empty. */
static void read_all(struct race *race, struct osq_sync *sync)
{
	u64 pos = 0;
	bool done;

	do {
		done = !atomic_load(&race->running);
		EXPECT_EQ(osq_ring_sync(&race->ring, pos, sync), 0);
		EXPECT(counters_add_up(sync));
		if (pos == sync->max_pos)
			sched_yield();
		while (pos != sync->max_pos && !ktap_failures) {
			const struct osq_record *record =
				record_at(&race->ring, pos);

			EXPECT_EQ(record->pos, pos);
			read_one(race, record);
			pos += record->len;
		}
	} while ((!done || sync->pending) && !ktap_failures);
	EXPECT_EQ(osq_ring_sync(&race->ring, pos, sync), 0);
}

/* Put one more record, which brings the LOST for the last drops. */
static void read_the_rest(struct race *race, struct osq_sync *sync)
{
	const struct osq_record *record;
	u64 pos = sync->max_pos;

	EXPECT_EQ(put_marked(&race->ring, 512, 0), 0);
	EXPECT_EQ(osq_ring_sync(&race->ring, pos, sync), 0);
	while (pos != sync->max_pos && !ktap_failures) {
		record = record_at(&race->ring, pos);
		if (record->type == OSQ_TYPE_LOST)
			read_one(race, record);
		pos += record->len;
	}
	EXPECT_EQ(osq_ring_sync(&race->ring, pos, sync), 0);
}

static void check_sums(const struct race *race, const struct osq_sync *sync)
{
	u64 dropped = 0;
	int reason;

	for (reason = 0; reason < OSQ_DROP_COUNT; reason++)
		dropped += sync->dropped[reason];
	printf("# ring of %llu bytes: %llu records, %llu dropped\n",
	       (unsigned long long)race->ring.size,
	       (unsigned long long)race->records, (unsigned long long)dropped);
	EXPECT_EQ(race->reported, dropped);
	EXPECT_EQ(race->records + 1, sync->committed);
	EXPECT_EQ(sync->consumed, sync->committed);
	EXPECT_EQ(sync->attempts, sync->committed + dropped);
	EXPECT(sync->attempts > WRITERS * EACH);
}

static void run_race(u64 ring_bytes)
{
	static struct race race;
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS];
	struct osq_sync sync;
	u32 i;

	memset(&race, 0, sizeof(race));
	ring_setup(&race.ring, ring_bytes);
	atomic_store(&race.running, WRITERS);
	for (i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ .race = &race, .id = i };
		pthread_create(&threads[i], NULL, write_all, &writers[i]);
	}
	read_all(&race, &sync);
	for (i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	read_the_rest(&race, &sync);
	check_sums(&race, &sync);
	ring_teardown(&race.ring);
}

/* A small ring with eight writers drops much and counts every drop. */
static void test_a_small_ring_is_accounted_exactly(void)
{
	run_race(SMALL);
}

/* A large ring, which drops little, counts every drop, too. */
static void test_a_large_ring_is_accounted_exactly(void)
{
	run_race(1u << 20);
}

static const struct ktap_test tests[] = {
	KTAP_TEST(test_a_small_ring_is_accounted_exactly),
	KTAP_TEST(test_a_large_ring_is_accounted_exactly),
};

KTAP_MAIN(tests)
