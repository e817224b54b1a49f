// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* json_kexec.c - records of kernels for kexec as JSON Lines. */
#include "json_records.h"

#include "json_print.h"
#include "libosq.h"

static const char *const actions[] = {
	[OSQ_KEXEC_BY_MEMORY] = "by_memory",
	[OSQ_KEXEC_BY_FILE] = "by_file",
	[OSQ_KEXEC_UNLOAD] = "unload",
};

int json_kexec(FILE *out, const struct osq_record *record)
{
	const struct osq_kexec *kexec = (const struct osq_kexec *)record;
	const char *path, *cmdline;

	if (record->len < sizeof(*kexec))
		return -1;
	path = osq_client_bytes(record, &kexec->path);
	cmdline = osq_client_bytes(record, &kexec->cmdline);
	if (!path || !cmdline)
		return -1;
	json_head(out, record, "kexec");
	json_actor(out, &kexec->actor);
	fprintf(out, ",\"action\":\"%s\"", JSON_NAME(actions, kexec->action));
	json_caller(out, &kexec->caller);
	fprintf(out,
		",\"kexec_flags\":%llu,\"file_dev\":%llu,\"file_ino\":%llu,"
		"\"path\":",
		(unsigned long long)kexec->kexec_flags,
		(unsigned long long)kexec->file_dev,
		(unsigned long long)kexec->file_ino);
	json_string(out, path, kexec->path.len);
	fputs(",\"cmdline\":", out);
	json_string(out, cmdline, kexec->cmdline.len);
	fputs("}\n", out);
	return 0;
}
