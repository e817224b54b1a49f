// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * test_exhaustive.c - visit every state of the ring, and from each make every
 * call that writers, reader and owner can make next.
 *
 * Each call of the core is one step under its lock, so what threads can do to
 * each other is to interleave calls. Three writers may each hold one
 * reservation of one of two lengths. The reader passes any position, right or
 * wrong. Attempts are dropped outside the ring, and the owner resets it. All
 * states that follow are visited; those that differ only in counters count
 * as one. Each result and all counters are compared with the model.
 */
#include "model.h"

#define WRITERS 3
#define ENTRIES 16
/* Positions are multiples of this, the size of LOST, so there are few. */
#define UNIT 168u
_Static_assert(sizeof(struct osq_lost) == UNIT, "LOST has this length");

static const u32 lengths[] = { UNIT, 12 * UNIT, 25 * UNIT };

/* A state: entry i has lengths[code[i] / 3] and enum state code[i] % 3. */
struct key {
	u16 base; /* read position in the ring, in units of 8 bytes */
	u8 lost; /* a LOST record is due */
	u8 count;
	u8 code[ENTRIES];
};

#define TABLE (1u << 22)

static struct key *table; /* open addressing; base 0xffff: free */
static u32 *queue; /* slots of the table, in the order of their discovery */
static u32 known, visited;
static unsigned long long calls;

static u32 slot_of(const struct key *key)
{
	const u8 *bytes = (const u8 *)key;
	u32 hash = 2166136261u;
	size_t i;

	for (i = 0; i < sizeof(*key); i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	hash &= TABLE - 1;
	while (table[hash].base != 0xffff &&
	       memcmp(&table[hash], key, sizeof(*key)))
		hash = (hash + 1) & (TABLE - 1);
	return hash;
}

static void discover(const struct key *key)
{
	u32 slot = slot_of(key);

	if (table[slot].base != 0xffff)
		return;
	table[slot] = *key;
	queue[known++] = slot;
	if (known > TABLE / 2) {
		puts("Bail out! more states than the table is for");
		exit(1);
	}
}

static u32 length_of(u8 code)
{
	return lengths[code / 3];
}

/* Bring a new ring and a new model into the state that a key encodes. */
static void build(const struct key *key, struct osq_ring *ring,
		  struct model *model)
{
	u64 base = key->base * 8ull;
	u8 i;

	memset(model->entries, 0, ENTRIES * sizeof(*model->entries));
	model->first = 0;
	model->last = 0;
	memset(&model->count, 0, sizeof(model->count));
	memset(&ring->count, 0, sizeof(ring->count));
	memset(&ring->lost, 0, sizeof(ring->lost));
	memset(ring->starts, 0, 3 * SMALL / 64);
	model->lost = false;
	model->write_pos = model->read_pos = base;
	ring->write_pos = ring->commit_pos = ring->read_pos = base;
	for (i = 0; i < key->count; i++) {
		u32 len = length_of(key->code[i]);
		struct osq_slot slot;

		osq_ring_reserve(ring, OSQ_TYPE_EXEC, len, OSQ_RANK_ANY, &slot);
		model_reserve(model, len);
		model->entries[i].slot = slot;
		model->entries[i].state = key->code[i] % 3;
		if (model->entries[i].state == LIVE) {
			osq_ring_commit(ring, &slot);
			model->count.committed++;
		} else if (model->entries[i].state == DEAD) {
			osq_ring_discard(ring, &slot);
			model->count.dropped[OSQ_DROP_DISCARDED]++;
		}
	}
	if (key->lost) {
		osq_ring_drop(ring, OSQ_TYPE_EXEC, OSQ_DROP_NESTED, 1);
		model->count.attempts++;
		model->count.dropped[OSQ_DROP_NESTED]++;
		model->lost = true;
	}
}

static void arrive(struct osq_ring *ring, const struct model *model)
{
	struct key key = { .base = (u16)((model->read_pos % SMALL) / 8),
			   .lost = model->lost };
	size_t i;

	calls++;
	model_compare(ring, model);
	for (i = model->first; i < model->last; i++) {
		const struct entry *entry = &model->entries[i];
		u8 length = 0;

		while (lengths[length] != entry->len)
			length++;
		key.code[key.count++] = (u8)(length * 3 + entry->state);
	}
	discover(&key);
}

static void try_reserve(const struct key *key, struct osq_ring *ring,
			struct model *model, u32 len)
{
	struct osq_slot slot;
	int err;

	build(key, ring, model);
	err = osq_ring_reserve(ring, OSQ_TYPE_EXEC, len, OSQ_RANK_ANY, &slot);
	EXPECT_EQ(err, model_reserve(model, len));
	if (!err)
		EXPECT_EQ(slot.pos, model->entries[model->last - 1].pos);
	arrive(ring, model);
}

static void try_finish(const struct key *key, struct osq_ring *ring,
		       struct model *model, u8 which)
{
	int discard;

	for (discard = 0; discard < 2; discard++) {
		struct entry *entry = &model->entries[which];

		build(key, ring, model);
		if (discard) {
			osq_ring_discard(ring, &entry->slot);
			entry->state = DEAD;
			model->count.dropped[OSQ_DROP_DISCARDED]++;
		} else {
			osq_ring_commit(ring, &entry->slot);
			entry->state = LIVE;
			model->count.committed++;
		}
		arrive(ring, model);
	}
}

static void try_sync(const struct key *key, struct osq_ring *ring,
		     struct model *model, u64 offset)
{
	struct osq_sync sync;
	u64 pos;

	build(key, ring, model);
	pos = model->read_pos + offset;
	EXPECT_EQ(osq_ring_sync(ring, pos, &sync), model_sync(model, pos));
	arrive(ring, model);
}

static void try_loss(const struct key *key, struct osq_ring *ring,
		     struct model *model)
{
	build(key, ring, model);
	osq_ring_drop(ring, OSQ_TYPE_FORK, OSQ_DROP_MISSED, 1);
	model->count.attempts++;
	model->count.dropped[OSQ_DROP_MISSED]++;
	model->lost = true;
	arrive(ring, model);
}

/* The owner lost its queue and allocates again; pending records are reset. */
static void try_reset(const struct key *key, struct osq_ring *ring,
		      struct model *model)
{
	u64 pending = 0;
	u8 *data;
	size_t i;

	build(key, ring, model);
	for (i = model->first; i < model->last; i++)
		pending += model->entries[i].state == LIVE;
	data = ring->data;
	osq_ring_close(ring);
	EXPECT_EQ(ring->count.reset, pending);
	EXPECT_EQ(osq_ring_open(ring, data, SMALL), 0);
	model->first = model->last;
	model->write_pos = model->read_pos = 0;
	arrive(ring, model);
}

static void visit(const struct key *key, struct osq_ring *ring,
		  struct model *model)
{
	u64 offset = 0;
	u8 busy = 0, i;

	for (i = 0; i < key->count; i++) {
		if (key->code[i] % 3 == BUSY) {
			busy++;
			try_finish(key, ring, model, i);
		}
		try_sync(key, ring, model, offset);
		try_sync(key, ring, model, offset + 8);
		try_sync(key, ring, model, offset + 3);
		offset += length_of(key->code[i]);
	}
	try_sync(key, ring, model, offset);
	try_sync(key, ring, model, offset + 8);
	try_sync(key, ring, model, offset + SMALL);
	try_sync(key, ring, model, -8ull);
	try_loss(key, ring, model);
	/* The publishers have stopped before, so nothing is reserved. */
	if (!busy)
		try_reset(key, ring, model);
	if (busy < WRITERS) {
		try_reserve(key, ring, model, lengths[1]);
		try_reserve(key, ring, model, lengths[2]);
		try_reserve(key, ring, model, SMALL);
	}
}

static void test_every_state_and_every_call(void)
{
	static struct model model;
	static struct key start;
	struct osq_ring ring;

	table = malloc(TABLE * sizeof(*table));
	queue = malloc(TABLE * sizeof(*queue));
	memset(table, 0xff, TABLE * sizeof(*table));
	ring_setup(&ring, SMALL);
	discover(&start);
	while (visited < known && !ktap_failures) {
		struct key key = table[queue[visited++]];

		visit(&key, &ring, &model);
	}
	printf("# %u states, %llu calls, %s\n", visited, calls,
	       visited == known ? "all of them" : "given up");
	EXPECT(visited > 10000);
	ring_teardown(&ring);
	free(table);
	free(queue);
}

static const struct ktap_test tests[] = {
	KTAP_TEST(test_every_state_and_every_call),
};

KTAP_MAIN(tests)
