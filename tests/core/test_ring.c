// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* test_ring.c - the ring alone: bounds, refusals, wrap, the law, threads. */
#include <pthread.h>

#include "fixture.h"
#include "ktap.h"

#define SMALL OSQ_RING_MIN_BYTES
#define HEAD ((u32)sizeof(struct osq_record))

#ifndef THREADS
#define THREADS 6
#endif
#ifndef PER_THREAD
#define PER_THREAD 50000
#endif

static u32 len_at(const struct fixture *fixture, u64 pos)
{
	const u8 *bytes =
		(const u8 *)fixture->data + (pos & (fixture->size - 1));

	return ((const struct osq_record *)bytes)->len;
}

static void init_refuses_bad_sizes(void)
{
	static const u64 bad[] = { 0, 4096, SMALL + 8, SMALL * 3,
				   2ull * OSQ_RING_MAX_BYTES };
	struct osq_ring ring;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(osq_ring_init(&ring, &ring, bad[i]) == -EINVAL);
}

static void reserve_counts_when_full(void)
{
	struct fixture fixture;
	struct osq_sync sync;
	int err, put = 0;

	fixture_init(&fixture, SMALL);
	while (!fixture_put(&fixture, 128, 1))
		put++;
	CHECK(put == SMALL / 128);
	CHECK(fixture_put(&fixture, 128, 1) == -ENOSPC);
	sync = fixture_sync(&fixture, 0, &err);
	CHECK(!err && sync.attempts == (u64)put + 2);
	CHECK(sync.dropped[OSQ_DROP_FULL] == 2 && sync.pending == (u64)put);
	CHECK(fixture_law(&sync));
	fixture_deinit(&fixture);
}

static void what_can_never_fit_is_refused(void)
{
	struct fixture fixture;
	struct osq_slot slot;
	struct osq_sync sync;
	int err;

	fixture_init(&fixture, SMALL);
	CHECK(osq_ring_reserve(&fixture.ring, SMALL + 8, &slot) == -E2BIG);
	CHECK(osq_ring_reserve(&fixture.ring, HEAD - 8, &slot) == -E2BIG);
	CHECK(osq_ring_reserve(&fixture.ring, HEAD + 4, &slot) == -E2BIG);
	sync = fixture_sync(&fixture, 0, &err);
	CHECK(sync.dropped[OSQ_DROP_TOO_BIG] == 3 && fixture_law(&sync));
	fixture_deinit(&fixture);
}

/* Defect B5 of the original: an empty ring refused, depending on where. */
static void an_empty_ring_takes_any_record_anywhere(void)
{
	struct fixture fixture;
	u64 pos = 0;
	u32 step;
	int err;

	fixture_init(&fixture, SMALL);
	for (step = 0; step < SMALL / 8 + 3; step++) {
		CHECK(fixture_put(&fixture, SMALL, step) == 0);
		CHECK(fixture_intact(&fixture, pos));
		pos += SMALL;
		fixture_sync(&fixture, pos, &err);
		CHECK(!err);
		CHECK(fixture_put(&fixture, HEAD + 8, step) == 0);
		pos += HEAD + 8;
		fixture_sync(&fixture, pos, &err);
		CHECK(!err);
	}
	fixture_deinit(&fixture);
}

static void only_boundaries_are_accepted(void)
{
	struct fixture fixture;
	struct osq_sync before, after;
	u64 pos, boundaries = 0;
	int err;

	fixture_init(&fixture, SMALL);
	CHECK(!fixture_put(&fixture, 64, 1) && !fixture_put(&fixture, 200, 2));
	CHECK(!fixture_put(&fixture, 72, 3));
	fixture_sync(&fixture, 64, &err);
	CHECK(!err);
	for (pos = 0; pos < 2 * SMALL; pos++) {
		before = fixture_sync(&fixture, 64, &err);
		fixture_sync(&fixture, pos, &err);
		if (pos == 64 || pos == 264 || pos == 336)
			continue;
		CHECK(err == -EINVAL);
		after = fixture_sync(&fixture, 64, &err);
		CHECK(!err && !memcmp(&before, &after, sizeof(after)));
		boundaries++;
		if (pos == 263)
			break;
	}
	CHECK(boundaries == 263);
	fixture_sync(&fixture, 337, &err);
	CHECK(err == -EINVAL);
	fixture_sync(&fixture, 344, &err);
	CHECK(err == -EINVAL);
	fixture_deinit(&fixture);
}

/* A position one lap off has the same place in the ring, and is wrong. */
static void positions_of_another_lap_are_refused(void)
{
	struct fixture fixture;
	u64 pos = 0;
	u64 lap;
	int err;

	fixture_init(&fixture, SMALL);
	for (lap = 0; lap < 3 * SMALL / 64; lap++, pos += 64) {
		CHECK(!fixture_put(&fixture, 64, 1));
		fixture_sync(&fixture, pos + 64, &err);
		CHECK(!err);
	}
	CHECK(!fixture_put(&fixture, 64, 1) && !fixture_put(&fixture, 64, 2));
	fixture_sync(&fixture, pos + 64 - SMALL, &err);
	CHECK(err == -EINVAL);
	fixture_sync(&fixture, pos + 64 + SMALL, &err);
	CHECK(err == -EINVAL);
	fixture_sync(&fixture, pos + 64, &err);
	CHECK(!err);
	fixture_deinit(&fixture);
}

static void an_open_record_holds_back_later_ones(void)
{
	struct fixture fixture;
	struct osq_slot first, second;
	struct osq_sync sync;
	int err;

	fixture_init(&fixture, SMALL);
	CHECK(!osq_ring_reserve(&fixture.ring, 64, &first));
	CHECK(!osq_ring_reserve(&fixture.ring, 128, &second));
	CHECK(first.seq == 1 && second.seq == 2);
	osq_ring_commit(&fixture.ring, &second);
	sync = fixture_sync(&fixture, 0, &err);
	CHECK(sync.max_pos == 0 && sync.in_flight == 1 && fixture_law(&sync));
	CHECK(!osq_ring_readable(&fixture.ring));
	osq_ring_commit(&fixture.ring, &first);
	sync = fixture_sync(&fixture, 0, &err);
	CHECK(sync.max_pos == 192 && sync.in_flight == 0 && fixture_law(&sync));
	CHECK(osq_ring_readable(&fixture.ring));
	fixture_deinit(&fixture);
}

/* Random puts and reads against the plainest model: counters. */
static void random_use_agrees_with_a_model(void)
{
	u64 attempts = 0, dropped = 0, consumed = 0, used = 0, pos = 0;
	struct fixture fixture;
	struct osq_sync sync;
	u32 state = 20261124;
	int step, err;

	fixture_init(&fixture, SMALL);
	for (step = 0; step < 200000; step++) {
		u32 len = HEAD + fixture_random(&state) % 64 * 8;

		if (fixture_random(&state) % 3) {
			bool room = SMALL - used >= len;

			err = fixture_put(&fixture, len, (u32)step);
			CHECK(err == (room ? 0 : -ENOSPC));
			attempts++;
			dropped += !room;
			used += room ? len : 0;
			continue;
		}
		sync = fixture_sync(&fixture, pos, &err);
		CHECK(!err && sync.max_pos == pos + used);
		if (used) {
			CHECK(fixture_intact(&fixture, pos));
			len = len_at(&fixture, pos);
			used -= len;
			pos += len;
			consumed++;
			sync = fixture_sync(&fixture, pos, &err);
		}
		CHECK(!err && sync.attempts == attempts);
		CHECK(sync.dropped[OSQ_DROP_FULL] == dropped);
		CHECK(sync.consumed == consumed && fixture_law(&sync));
	}
	fixture_deinit(&fixture);
}

static struct fixture shared;

static void *produce(void *argument)
{
	u32 state = 1 + *(const u32 *)argument;
	int i;

	for (i = 0; i < PER_THREAD; i++)
		fixture_put(&shared, HEAD + fixture_random(&state) % 32 * 8,
			    fixture_random(&state));
	return NULL;
}

/* Read what there is; returns false when a record is not as written. */
static bool drain(u64 *pos, u64 *last_seq, u64 *records)
{
	int err;
	struct osq_sync sync = fixture_sync(&shared, *pos, &err);
	bool good = !err && fixture_law(&sync);

	while (good && *pos < sync.max_pos) {
		const struct osq_record *record =
			(const void *)((const u8 *)shared.data +
				       (*pos & (shared.size - 1)));

		good = fixture_intact(&shared, *pos) && record->seq > *last_seq;
		*last_seq = record->seq;
		*pos += record->len;
		(*records)++;
	}
	return good;
}

static void threads_are_accounted_exactly(void)
{
	pthread_t threads[THREADS];
	u32 seeds[THREADS];
	u64 pos = 0, last_seq = 0, records = 0, dropped;
	struct osq_sync sync;
	bool good = true;
	int i, err;

	fixture_init(&shared, 65536);
	for (i = 0; i < THREADS; i++) {
		seeds[i] = (u32)i;
		pthread_create(&threads[i], NULL, produce, &seeds[i]);
	}
	do {
		good = good && drain(&pos, &last_seq, &records);
		sync = fixture_sync(&shared, pos, &err);
	} while (good && sync.attempts < (u64)THREADS * PER_THREAD);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK(good && drain(&pos, &last_seq, &records));
	sync = fixture_sync(&shared, pos, &err);
	dropped = sync.dropped[OSQ_DROP_FULL];
	CHECK(!err && sync.attempts == (u64)THREADS * PER_THREAD);
	CHECK(sync.pending == 0 && sync.in_flight == 0);
	CHECK(sync.consumed == records && records + dropped == sync.attempts);
	fixture_deinit(&shared);
}

int main(void)
{
	printf("KTAP version 1\n1..9\n");
	RUN(init_refuses_bad_sizes);
	RUN(reserve_counts_when_full);
	RUN(what_can_never_fit_is_refused);
	RUN(an_empty_ring_takes_any_record_anywhere);
	RUN(only_boundaries_are_accepted);
	RUN(positions_of_another_lap_are_refused);
	RUN(an_open_record_holds_back_later_ones);
	RUN(random_use_agrees_with_a_model);
	RUN(threads_are_accounted_exactly);
	return ktap_bad ? 1 : 0;
}
