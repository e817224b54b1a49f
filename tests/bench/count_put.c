// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * count_put.c - the same work each time, for valgrind to count instructions.
 *
 * put_records puts REPEATS records of 256 bytes; filter_events lets a filter
 * reject as many events. valgrind counts within one of the two functions. The
 * clock stands still: reading a real one would be counted as well.
 */
#include <stdio.h>

#include "osq_filter.h"
#include "osq_host.h"
#include "osq_ring.h"

#define RING_BYTES (1u << 20)
#define REPEATS 1000u
#define RECORD_BYTES 256u
#define REJECTED_UID 1000u

__attribute__((noipa)) static void put_records(struct osq_ring *ring,
					       struct osq_record *record)
{
	u32 i;

	for (i = 0; i < REPEATS; i++) {
		record->len = RECORD_BYTES;
		osq_ring_put(ring, record, OSQ_RANK_ANY);
	}
}

/* As a publisher does it whose filter excludes the user. */
__attribute__((noipa)) static void
filter_events(struct osq_ring *ring, const struct osq_filter *filter,
	      const struct osq_subject *subject)
{
	u32 i;

	for (i = 0; i < REPEATS; i++)
		if (!osq_filter_lets(filter, subject))
			osq_ring_filtered(ring, OSQ_TYPE_EXEC);
}

int main(void)
{
	static struct osq_filter filter = {
		.type = OSQ_TYPE_EXEC,
		.exclude = OSQ_FILTER_BY_UID,
		.uid_count = 1,
		.uids = { { REJECTED_UID, REJECTED_UID } },
	};
	static union {
		struct osq_record head;
		u8 bytes[RECORD_BYTES];
	} record = { .head.type = OSQ_TYPE_EXEC };
	const struct osq_subject subject = { .uid = REJECTED_UID };
	static struct osq_ring ring;
	void *data = osq_host_map(RING_BYTES);

	osq_host_stop_clock(1);
	osq_ring_init(&ring);
	if (!data || osq_ring_open(&ring, data, RING_BYTES))
		return 1;
	put_records(&ring, &record.head);
	filter_events(&ring, &filter, &subject);
	printf("%llu put, %llu filtered\n",
	       (unsigned long long)ring.count.committed,
	       (unsigned long long)ring.count.filtered_of[OSQ_TYPE_EXEC]);
	return ring.count.committed != REPEATS ||
	       ring.count.filtered_of[OSQ_TYPE_EXEC] != REPEATS;
}
