// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * test_original.c - the same stress on the original's queue and on our ring.
 *
 * Six writers and one reader use records of 24 to 220 bytes that describe
 * themselves. A round is bad when the reader gets an invalid record, or when
 * the records read and dropped are not those that were made. This test is the
 * reason for the project: the original fails it within seconds; the original
 * that keeps its lock, and our ring, never fail.
 */
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "fixture.h"
#include "original_queue.h"

#define WRITERS 6
#define EACH 100000u
#define ROUNDS 8
#define MOST_ROUNDS 200 /* until the original's first bad one */
#define MAGIC 0x6f73717565727921ull

struct payload {
	u64 magic;
	u32 writer;
	u32 bytes;
	u64 number;
};

struct round {
	struct original_queue original;
	struct osq_ring ring;
	bool ours;
	atomic_uint running;
	atomic_ullong made, refused_commits;
	u64 read, dropped;
	u64 next[WRITERS];
	bool garbage;
};

struct writer {
	struct round *round;
	u32 id;
};

static u32 bytes_of(u32 id, u64 number)
{
	return (u32)(sizeof(struct payload) + (number * 37 + id * 11) % 197);
}

static void put_ours(struct round *round, const struct payload *payload)
{
	union {
		struct osq_record head;
		u8 bytes[512];
	} one = { 0 };

	memcpy(one.bytes + sizeof(one.head), payload, sizeof(*payload));
	one.head.type = OSQ_TYPE_EXEC;
	one.head.len = sizeof(one.head) + payload->bytes;
	/* After a drop let the reader run, so that positions wrap often. */
	if (osq_ring_put(&round->ring, &one.head, OSQ_RANK_ANY))
		sched_yield();
}

static void put_original(struct round *round, const struct payload *payload)
{
	void *space = original_reserve(&round->original, payload->bytes);

	if (!space) {
		sched_yield();
		return;
	}
	memset(space, 0, payload->bytes);
	memcpy(space, payload, sizeof(*payload));
	if (original_commit(&round->original, space))
		atomic_fetch_add(&round->refused_commits, 1);
}

static void *write_all(void *argument)
{
	struct writer *writer = argument;
	struct round *round = writer->round;
	u64 number;

	for (number = 0; number < EACH; number++) {
		struct payload payload = {
			.magic = MAGIC,
			.writer = writer->id,
			.bytes = bytes_of(writer->id, number),
			.number = number,
		};

		if (round->ours)
			put_ours(round, &payload);
		else
			put_original(round, &payload);
		atomic_fetch_add(&round->made, 1);
	}
	atomic_fetch_sub(&round->running, 1);
	return NULL;
}

static bool take(struct round *round, const struct payload *payload, u32 bytes)
{
	if (bytes < sizeof(*payload) || payload->magic != MAGIC ||
	    payload->writer >= WRITERS ||
	    payload->bytes != bytes_of(payload->writer, payload->number) ||
	    payload->number < round->next[payload->writer])
		return false;
	round->next[payload->writer] = payload->number + 1;
	round->read++;
	return true;
}

/* As in the original's reader, a marker or a short end leads back to 0. */
static void read_original(struct round *round)
{
	struct original_queue *queue = &round->original;
	size_t at = 0, max_read = 0;
	unsigned int left;

	do {
		left = atomic_load(&round->running);
		original_sync(queue, at, &max_read);
		if (at == max_read)
			sched_yield();
		while (at != max_read && !round->garbage) {
			const struct original_header *header =
				(const void *)(queue->buffer + at);

			if (queue->size - at < sizeof(*header) ||
			    header->size == ORIGINAL_END) {
				at = 0;
				continue;
			}
			if (header->size > queue->size - at - sizeof(*header) ||
			    !take(round, (const void *)(header + 1),
				  header->size))
				round->garbage = true;
			at = (at + sizeof(*header) + header->size) %
			     queue->size;
		}
	} while ((left || at != max_read) && !round->garbage);
	round->dropped = queue->drops;
}

static void read_ours(struct round *round)
{
	struct osq_sync sync;
	unsigned int left;
	u64 at = 0;

	do {
		left = atomic_load(&round->running);
		if (osq_ring_sync(&round->ring, at, &sync) || !counters_add_up(&sync))
			round->garbage = true;
		if (at == sync.max_pos)
			sched_yield();
		while (at != sync.max_pos && !round->garbage) {
			const struct osq_record *record =
				record_at(&round->ring, at);
			const struct payload *payload =
				(const void *)(record + 1);

			if (record->type == OSQ_TYPE_EXEC &&
			    !take(round, payload, payload->bytes))
				round->garbage = true;
			at += record->len;
		}
	} while ((left || at != sync.max_pos) && !round->garbage);
	round->dropped = sync.dropped[OSQ_DROP_FULL];
}

/* Return whether the round was bad. */
static bool run_round(u64 size, bool ours, bool keeps_lock)
{
	static struct round round;
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS];
	u8 *buffer = aligned_alloc(64, size);
	u64 accounted;
	u32 i;

	memset(&round, 0, sizeof(round));
	round.ours = ours;
	if (ours)
		ring_setup(&round.ring, size);
	original_init(&round.original, buffer, size, keeps_lock);
	atomic_store(&round.running, WRITERS);
	for (i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ .round = &round, .id = i };
		pthread_create(&threads[i], NULL, write_all, &writers[i]);
	}
	if (ours)
		read_ours(&round);
	else
		read_original(&round);
	for (i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	if (ours)
		ring_teardown(&round.ring);
	free(buffer);
	accounted = round.read + round.dropped;
	return round.garbage || accounted != atomic_load(&round.made);
}

static unsigned int bad_rounds(const char *name, u64 size, bool ours,
			       bool keeps_lock)
{
	unsigned int bad = 0;
	int i;

	for (i = 0; i < ROUNDS; i++)
		bad += run_round(size, ours, keeps_lock);
	printf("# %-28s %6llu bytes: %2u of %d rounds of %u records bad\n",
	       name, (unsigned long long)size, bad, ROUNDS, WRITERS * EACH);
	return bad;
}

/*
 * The original returns invalid records or wrong counts. How soon depends on
 * the scheduler; a busy machine may need more rounds.
 */
static void test_the_originals_queue_corrupts_itself(void)
{
	unsigned int bad = bad_rounds("the original", 8192, false, false);
	int more = 0;

	bad += bad_rounds("the original", 65536, false, false);
	while (!bad && more < MOST_ROUNDS) {
		bad += run_round(8192, false, false);
		more++;
	}
	if (more)
		printf("# the first bad one was round %d after those\n", more);
	EXPECT(bad > 0);
}

/* The size of records in the test of single steps: header and payload. */
#define STEP_BYTES 1024u
#define SHORT_BYTES 512u
#define PAYLOAD(bytes) ((u32)((bytes) - sizeof(struct original_header)))

static void *second; /* reserved, not committed */

/*
 * Another writer commits the second record, the reader reads both, and writers
 * fill the rest of the ring and the bytes that were read. Then a committed
 * record lies where the first commit has stopped.
 */
static void others_go_round(struct original_queue *queue)
{
	size_t max_read;
	int i;

	queue->in_gap = NULL;
	EXPECT_EQ(original_commit(queue, second), 0);
	EXPECT_EQ(original_sync(queue, 2 * STEP_BYTES, &max_read), 0);
	for (i = 0; i < 7; i++)
		EXPECT(original_reserve(queue, PAYLOAD(STEP_BYTES)));
	EXPECT_EQ(original_commit(
			  queue, original_reserve(queue, PAYLOAD(SHORT_BYTES))),
		  0);
	EXPECT_EQ(queue->max_read, 2 * STEP_BYTES);
}

/* The same fault in single steps: what may happen during one commit. */
static void test_the_originals_fault_in_single_steps(void)
{
	static u8 buffer[8 * STEP_BYTES] __attribute__((aligned(64)));
	struct original_queue queue;
	void *first_one;

	original_init(&queue, buffer, sizeof(buffer), false);
	first_one = original_reserve(&queue, PAYLOAD(STEP_BYTES));
	second = original_reserve(&queue, PAYLOAD(STEP_BYTES));
	queue.in_gap = others_go_round;

	EXPECT_EQ(original_commit(&queue, first_one), 0);

	/* Seven records are reserved from 2 * STEP_BYTES on, none committed. */
	EXPECT_EQ(queue.max_read, 2 * STEP_BYTES + SHORT_BYTES);
}

/* The stress is correct: the same queue passes when it keeps its lock. */
static void test_the_originals_queue_is_exact_when_it_keeps_its_lock(void)
{
	EXPECT_EQ(bad_rounds("the original, lock kept", 8192, false, true), 0);
	EXPECT_EQ(bad_rounds("the original, lock kept", 65536, false, true), 0);
}

static void test_our_ring_is_exact(void)
{
	EXPECT_EQ(bad_rounds("ours", 8192, true, false), 0);
	EXPECT_EQ(bad_rounds("ours", 65536, true, false), 0);
}

static const struct ktap_test tests[] = {
	KTAP_TEST(test_the_originals_queue_corrupts_itself),
	KTAP_TEST(test_the_originals_fault_in_single_steps),
	KTAP_TEST(test_the_originals_queue_is_exact_when_it_keeps_its_lock),
	KTAP_TEST(test_our_ring_is_exact),
};

KTAP_MAIN(tests)
