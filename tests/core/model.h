/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * model.h - a model of the ring without bits, masks and wrapping: a list of
 * all reservations, in order.
 */
#ifndef MODEL_H
#define MODEL_H

#include "fixture.h"

#define MOST 8192 /* records in the model; a ring of 8 KiB has up to 128 */

enum state {
	BUSY,
	LIVE,
	DEAD
};

struct entry {
	u64 pos;
	u32 len;
	enum state state;
	struct osq_slot slot;
};

struct model {
	struct entry entries[MOST]; /* [first, last) are in the ring */
	size_t first, last;
	u64 write_pos, read_pos;
	struct osq_counters count;
	bool lost;
};

static inline struct entry *model_add(struct model *model, u32 len,
				      enum state state)
{
	struct entry *entry = &model->entries[model->last++];

	entry->pos = model->write_pos;
	entry->len = len;
	entry->state = state;
	model->write_pos += len;
	model->count.attempts++;
	return entry;
}

/* Return the result of reserve and put. */
static inline int model_reserve(struct model *model, u32 len)
{
	u64 room = SMALL - (model->write_pos - model->read_pos);
	u64 need = len + (model->lost ? sizeof(struct osq_lost) : 0);
	int reason = len > SMALL - sizeof(struct osq_lost) ? OSQ_DROP_TOO_BIG
							   : OSQ_DROP_FULL;

	if (reason == OSQ_DROP_FULL && need <= room) {
		if (model->lost) {
			model_add(model, sizeof(struct osq_lost), LIVE);
			model->count.committed++;
			model->lost = false;
		}
		model_add(model, len, BUSY);
		return 0;
	}
	model->count.attempts++;
	model->count.dropped[reason]++;
	model->lost = true;
	return reason == OSQ_DROP_FULL ? -ENOSPC : -E2BIG;
}

static inline u64 model_commit_pos(const struct model *model)
{
	size_t i;

	for (i = model->first; i < model->last; i++)
		if (model->entries[i].state == BUSY)
			return model->entries[i].pos;
	return model->write_pos;
}

static inline int model_sync(struct model *model, u64 pos)
{
	u64 commit_pos = model_commit_pos(model);
	bool known = pos == commit_pos || pos == model->read_pos;
	size_t i;

	for (i = model->first; i < model->last; i++)
		known |= model->entries[i].pos == pos && pos <= commit_pos;
	if (!known)
		return -EINVAL;
	while (model->first < model->last &&
	       model->entries[model->first].pos < pos)
		model->count.consumed += model->entries[model->first++].state ==
					 LIVE;
	model->read_pos = pos;
	return 0;
}

/* Compare positions and counters of ring and model. */
static inline void model_compare(struct osq_ring *ring,
				 const struct model *model)
{
	struct osq_sync sync;

	EXPECT_EQ(osq_ring_sync(ring, model->read_pos, &sync), 0);
	EXPECT_EQ(sync.max_pos, model_commit_pos(model));
	EXPECT_EQ(sync.attempts, model->count.attempts);
	EXPECT_EQ(sync.committed, model->count.committed);
	EXPECT_EQ(sync.consumed, model->count.consumed);
	EXPECT(!memcmp(sync.dropped, model->count.dropped,
		       sizeof(sync.dropped)));
	EXPECT(counters_add_up(&sync));
	EXPECT_EQ(is_readable(ring),
		  model_commit_pos(model) != model->read_pos);
}

#endif
