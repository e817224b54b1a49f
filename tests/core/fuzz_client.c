// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * fuzz_client.c - let libosq read and print a ring of any bytes (libFuzzer).
 *
 * The memory has exactly the ring's size, between two inaccessible pages, so
 * that an access one byte too far crashes even without a sanitizer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "json.h"
#include "libosq.h"

#define RING_BYTES 8192u
#define GUARD 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *guarded(size_t bytes)
{
	uint8_t *at = mmap(NULL, bytes + 2 * GUARD, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED ||
	    mprotect(at + GUARD, bytes, PROT_READ | PROT_WRITE))
		abort();
	return at + GUARD;
}

/* The first 16 bytes are the reader's positions, the rest is the ring. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t *ring;
	static FILE *null;
	const struct osq_record *record;
	struct osq_client client = { .fd = -1, .ring_bytes = RING_BYTES };
	int rounds = 0;

	if (!ring) {
		ring = guarded(2 * RING_BYTES);
		null = fopen("/dev/null", "w");
	}
	if (size < 16)
		return 0;
	memcpy(&client.read_pos, data, 8);
	memcpy(&client.max_pos, data + 8, 8);
	data += 16;
	size -= 16;
	if (size > RING_BYTES)
		size = RING_BYTES;
	memset(ring, 0, 2 * RING_BYTES);
	memcpy(ring, data, size);
	memcpy(ring + RING_BYTES, ring, RING_BYTES);
	client.ring = ring;
	/* The loop ends, because each record has at least 64 bytes. */
	while (osq_client_next(&client, &record) == 1) {
		json_record(null, record);
		if (++rounds > (int)(RING_BYTES / 64))
			abort();
	}
	return 0;
}
