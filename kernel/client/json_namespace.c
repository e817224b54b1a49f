// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* json_namespace.c - records of mounts, roots and namespaces as JSON Lines. */
#include "json_records.h"

#include "json_print.h"
#include "libosq.h"

static const char *const actions[] = {
	[OSQ_NAMESPACE_MOUNT] = "mount",   [OSQ_NAMESPACE_MOVE] = "move",
	[OSQ_NAMESPACE_UMOUNT] = "umount", [OSQ_NAMESPACE_PIVOT] = "pivot",
	[OSQ_NAMESPACE_CHROOT] = "chroot", [OSQ_NAMESPACE_SWITCH] = "switch",
};

/* In the order of the bits OSQ_NS_*. */
static const char *const kinds[] = { "mnt", "pid",    "net", "uts",
				     "ipc", "cgroup", "time" };

static void print_numbers(FILE *out, const struct osq_namespace *one)
{
	const char *comma = "";
	size_t i;

	fputs(",\"changed\":[", out);
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (one->changed >> i & 1) {
			fprintf(out, "%s\"%s\"", comma, kinds[i]);
			comma = ",";
		}
	fprintf(out,
		"],\"mnt_ns\":%u,\"net_ns\":%u,\"uts_ns\":%u,\"ipc_ns\":%u,"
		"\"user_ns\":%u,\"cgroup_ns\":%u,\"pid_ns\":%u,\"time_ns\":%u",
		one->mnt_ns, one->net_ns, one->uts_ns, one->ipc_ns,
		one->user_ns, one->cgroup_ns, one->pid_ns, one->time_ns);
}

int json_namespace(FILE *out, const struct osq_record *record)
{
	const struct osq_namespace *one = (const struct osq_namespace *)record;
	const struct {
		const char *name;
		const struct osq_span *span;
	} fields[] = {
		{ "path", &one->path },
		{ "source", &one->source },
		{ "fs", &one->fs },
	};
	size_t count = sizeof(fields) / sizeof(fields[0]);
	size_t i;

	if (record->len < sizeof(*one))
		return -1;
	for (i = 0; i < count; i++)
		if (!osq_client_bytes(record, fields[i].span))
			return -1;
	json_head(out, record, "namespace");
	json_actor(out, &one->actor);
	fprintf(out, ",\"action\":\"%s\"", JSON_NAME(actions, one->action));
	json_caller(out, &one->caller);
	fprintf(out, ",\"mount_flags\":%llu,\"dev\":%llu",
		(unsigned long long)one->mount_flags,
		(unsigned long long)one->dev);
	print_numbers(out, one);
	for (i = 0; i < count; i++) {
		fprintf(out, ",\"%s\":", fields[i].name);
		json_string(out, osq_client_bytes(record, fields[i].span),
			    fields[i].span->len);
	}
	fputs("}\n", out);
	return 0;
}
