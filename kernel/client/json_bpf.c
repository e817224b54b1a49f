// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* json_bpf.c - records of BPF programs as JSON Lines. */
#include "json_records.h"

#include "json_print.h"
#include "libosq.h"

static const char *const actions[] = {
	[OSQ_BPF_LOAD] = "load",
	[OSQ_BPF_OPEN] = "open",
	[OSQ_BPF_ATTACH] = "attach",
};

/* As bpftool prints it. */
static void print_tag(FILE *out, const __u8 *tag, size_t bytes)
{
	size_t i;

	fputs(",\"tag\":\"", out);
	for (i = 0; i < bytes; i++)
		fprintf(out, "%02x", tag[i]);
	fputc('"', out);
}

int json_bpf(FILE *out, const struct osq_record *record)
{
	const struct osq_bpf *bpf = (const struct osq_bpf *)record;
	const char *name, *target;

	if (record->len < sizeof(*bpf))
		return -1;
	name = osq_client_bytes(record, &bpf->name);
	target = osq_client_bytes(record, &bpf->target);
	if (!name || !target)
		return -1;
	json_head(out, record, "bpf");
	json_actor(out, &bpf->actor);
	fprintf(out, ",\"action\":\"%s\"", JSON_NAME(actions, bpf->action));
	json_caller(out, &bpf->caller);
	fprintf(out,
		",\"command\":%u,\"prog_id\":%u,\"prog_type\":%u,"
		"\"attach_type\":%u,\"target_fd\":%d,\"insns\":%u",
		bpf->command, bpf->prog_id, bpf->prog_type, bpf->attach_type,
		(int)bpf->target_fd, bpf->insns);
	print_tag(out, bpf->tag, sizeof(bpf->tag));
	fputs(",\"name\":", out);
	json_string(out, name, bpf->name.len);
	fputs(",\"target\":", out);
	json_string(out, target, bpf->target.len);
	fputs("}\n", out);
	return 0;
}
