/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* fixture.h - a ring in this process, and records whose bytes tell on them. */
#ifndef OSQ_TEST_FIXTURE_H
#define OSQ_TEST_FIXTURE_H

#include "osq_host.h"
#include "osq_ring.h"

struct fixture {
	struct osq_ring ring;
	void *data;
	u64 size;
};

void fixture_init(struct fixture *fixture, u64 size);
void fixture_deinit(struct fixture *fixture);

/* Put a record of @len bytes, its tail filled from @seed. */
int fixture_put(struct fixture *fixture, u32 len, u32 seed);

/* Are the record at @pos and its tail what fixture_put wrote? */
bool fixture_intact(const struct fixture *fixture, u64 pos);

struct osq_sync fixture_sync(struct fixture *fixture, u64 read_pos, int *err);
bool fixture_law(const struct osq_sync *sync);

/* xorshift: the same numbers in every run. */
u32 fixture_random(u32 *state);

#endif
