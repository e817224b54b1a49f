// SPDX-License-Identifier: GPL-2.0-only
/* task.c - functions of all publishers: ids, spans, and putting records. */
#include <sys/proc.h>

#include "osq_macos.h"

/*
 * Thread, CPU and the process's start are 0: no function that a kext may use
 * returns them on every release. Context: any thread.
 */
void osq_head_fill(struct osq_record *head, u32 len, u16 type)
{
	memset(head, 0, len);
	head->len = len;
	head->type = type;
	head->pid = (u32)proc_selfpid();
	head->ppid = (u32)proc_selfppid();
}

/*
 * A writer may be preempted between reserve and commit: XNU lets no kext turn
 * that off without a lock. Later records wait for it; nothing is lost.
 */
void osq_publish(struct osq_ring *ring, struct osq_record *record)
{
	bool is_root = !kauth_cred_getruid(kauth_cred_get());

	osq_ring_put(ring, record, is_root ? OSQ_RANK_ROOT : OSQ_RANK_ANY);
	osq_readers_after_commit(ring);
}

void osq_publish_nothing(struct osq_ring *ring, u16 type, enum osq_drop reason)
{
	osq_ring_drop(ring, type, reason, 1);
	osq_readers_after_commit(ring);
}

void *osq_record_append(struct osq_record *record, struct osq_span *span,
			u32 len)
{
	span->off = record->len;
	span->len = len;
	record->len += len;
	return (u8 *)record + span->off;
}
