// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* json_signal.c - records of signals between processes as JSON Lines. */
#include "json_records.h"

#include "json_print.h"

int json_signal(FILE *out, const struct osq_record *record)
{
	const struct osq_signal *one = (const struct osq_signal *)record;
	const struct osq_target *target = &one->target;

	if (record->len < sizeof(*one))
		return -1;
	json_head(out, record, "signal");
	json_actor(out, &one->actor);
	json_caller(out, &one->caller);
	fprintf(out,
		",\"signal\":%u,\"target_pid\":%u,\"target_tid\":%u,"
		"\"target_start_boot_ns\":%llu,\"target_dev\":%llu,"
		"\"target_ino\":%llu,\"target_uid\":%u,\"target_euid\":%u}\n",
		one->signal, target->pid, target->tid,
		(unsigned long long)target->start_boot_ns,
		(unsigned long long)target->dev,
		(unsigned long long)target->ino, target->uid, target->euid);
	return 0;
}
