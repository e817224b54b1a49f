// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * test_model.c - make random calls and compare each with the model.
 */
#include "model.h"

#define STEPS 60000

static u64 seed;

/* xorshift64*: the same seed repeats a failure. */
static u32 random_below(u32 bound)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (u32)((seed * 2685821657736338717ull) >> 33) % bound;
}

static void step_reserve(struct osq_ring *ring, struct model *model)
{
	u32 len = 64 + 8 * random_below(random_below(20) ? 60 : 1100);
	struct osq_slot slot;
	int err =
		osq_ring_reserve(ring, OSQ_TYPE_EXEC, len, OSQ_RANK_ANY, &slot);

	EXPECT_EQ(err, model_reserve(model, len));
	if (err)
		return;
	memset(slot.data, (int)(slot.seq & 0xff), len);
	EXPECT_EQ(slot.pos, model->entries[model->last - 1].pos);
	EXPECT_EQ(slot.seq, model->count.attempts);
	model->entries[model->last - 1].slot = slot;
}

static void step_finish(struct osq_ring *ring, struct model *model)
{
	size_t i = model->first;
	struct entry *entry;

	if (model->first == model->last)
		return;
	i += random_below((u32)(model->last - model->first));
	entry = &model->entries[i];
	if (entry->state != BUSY)
		return;
	if (random_below(4)) {
		osq_ring_commit(ring, &entry->slot);
		entry->state = LIVE;
		model->count.committed++;
	} else {
		osq_ring_discard(ring, &entry->slot);
		entry->state = DEAD;
		model->count.dropped[OSQ_DROP_DISCARDED]++;
	}
}

/* The bytes of every unread record must be unchanged. */
static void check_bytes(const struct osq_ring *ring, const struct entry *entry)
{
	const u8 *bytes = (const u8 *)record_at(ring, entry->pos);
	u32 i;

	if (!entry->slot.seq || entry->state == DEAD)
		return;
	for (i = 0; i < entry->len; i++)
		if (bytes[i] != (u8)entry->slot.seq) {
			EXPECT(!"a record was written over");
			return;
		}
}

static void step_sync(struct osq_ring *ring, struct model *model)
{
	u64 pos = model->read_pos + random_below(SMALL + 64);
	struct osq_sync sync;
	size_t i;

	if (random_below(3) && model->first < model->last)
		pos = model->entries[model->first +
				     random_below(
					     (u32)(model->last - model->first))]
			      .pos;
	if (!random_below(4))
		pos = model_commit_pos(model);
	for (i = model->first; i < model->last; i++)
		check_bytes(ring, &model->entries[i]);
	EXPECT_EQ(osq_ring_sync(ring, pos, &sync), model_sync(model, pos));
}

/* The model's list only grows, so clear it before it is full. */
static void compact(struct model *model)
{
	size_t count = model->last - model->first;

	memmove(model->entries, model->entries + model->first,
		count * sizeof(*model->entries));
	memset(model->entries + count, 0,
	       (MOST - count) * sizeof(*model->entries));
	model->first = 0;
	model->last = count;
}

static void run_seed(u64 with)
{
	static struct model model;
	struct osq_ring ring;
	int step;

	seed = with;
	memset(&model, 0, sizeof(model));
	ring_setup(&ring, SMALL);
	for (step = 0; step < STEPS && !ktap_failures; step++) {
		switch (random_below(5)) {
		case 0:
			step_sync(&ring, &model);
			break;
		case 1:
		case 2:
			step_finish(&ring, &model);
			break;
		default:
			step_reserve(&ring, &model);
		}
		model_compare(&ring, &model);
		if (model.last > MOST - 4)
			compact(&model);
	}
	if (ktap_failures)
		printf("# seed %llu, step %d\n", (unsigned long long)with,
		       step);
	ring_teardown(&ring);
}

/* After any calls in any order, the ring equals its model. */
static void test_the_ring_agrees_with_its_model(void)
{
	u64 with;

	for (with = 1; with <= 3 && !ktap_failures; with++)
		run_seed(with * 0x9e3779b97f4a7c15ull);
}

static const struct ktap_test tests[] = {
	KTAP_TEST(test_the_ring_agrees_with_its_model),
};

KTAP_MAIN(tests)
