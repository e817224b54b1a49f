// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* json_ptrace.c - records of ptrace and its kin as JSON Lines. */
#include "json_records.h"

#include "json_print.h"

static const char *const actions[] = {
	[OSQ_PTRACE_ACCESS] = "access",
	[OSQ_PTRACE_TRACEME] = "traceme",
};

int json_ptrace(FILE *out, const struct osq_record *record)
{
	const struct osq_ptrace *ptrace = (const struct osq_ptrace *)record;

	if (record->len < sizeof(*ptrace))
		return -1;
	json_head(out, record, "ptrace");
	json_actor(out, &ptrace->actor);
	fprintf(out,
		",\"action\":\"%s\",\"syscall\":%u,\"uid\":%u,\"euid\":%u,"
		"\"auid\":%u,\"session\":%u",
		JSON_NAME(actions, ptrace->action), ptrace->syscall,
		ptrace->uid, ptrace->euid, ptrace->auid, ptrace->session);
	fprintf(out,
		",\"target_pid\":%u,\"target_tid\":%u,"
		"\"target_start_boot_ns\":%llu,\"target_dev\":%llu,"
		"\"target_ino\":%llu,\"target_uid\":%u,\"target_euid\":%u}\n",
		ptrace->target_pid, ptrace->target_tid,
		(unsigned long long)ptrace->target_start_boot_ns,
		(unsigned long long)ptrace->target_dev,
		(unsigned long long)ptrace->target_ino, ptrace->target_uid,
		ptrace->target_euid);
	return 0;
}
