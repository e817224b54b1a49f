// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* json.c - records as JSON Lines: which record is printed by which file. */
#include "json.h"

#include <stdint.h>
#include <stdlib.h>

#include "json_print.h"
#include "json_records.h"
#include "libosq.h"

static void print_exec_numbers(FILE *out, const struct osq_exec *exec)
{
	fprintf(out,
		",\"uid\":%u,\"euid\":%u,\"suid\":%u,\"fsuid\":%u,"
		"\"gid\":%u,\"egid\":%u,\"sgid\":%u,\"fsgid\":%u,"
		"\"auid\":%u,\"session\":%u,\"argc\":%u,\"argv_bytes\":%u",
		exec->uid, exec->euid, exec->suid, exec->fsuid, exec->gid,
		exec->egid, exec->sgid, exec->fsgid, exec->auid, exec->session,
		exec->argc, exec->argv_bytes);
	fprintf(out,
		",\"mode\":%u,\"owner_uid\":%u,\"owner_gid\":%u,"
		"\"old_tid\":%u,\"dev\":%llu,\"ino\":%llu,\"atime_ns\":%lld,"
		"\"mtime_ns\":%lld,\"ctime_ns\":%lld",
		exec->mode, exec->owner_uid, exec->owner_gid, exec->old_tid,
		(unsigned long long)exec->dev, (unsigned long long)exec->ino,
		(long long)exec->atime_ns, (long long)exec->mtime_ns,
		(long long)exec->ctime_ns);
}

static void print_exec_place(FILE *out, const struct osq_exec *exec)
{
	fprintf(out,
		",\"envc\":%u,\"env_bytes\":%u,\"pid_ns\":%u,\"mnt_ns\":%u,"
		"\"net_ns\":%u,\"uts_ns\":%u,\"ipc_ns\":%u,\"user_ns\":%u,"
		"\"cgroup_ns\":%u,\"ns_pid\":%u,\"cgroup_id\":%llu,"
		"\"tty\":%llu,\"script_dev\":%llu,\"script_ino\":%llu,"
		"\"stdin_mode\":%u,\"stdout_mode\":%u,\"stderr_mode\":%u",
		exec->envc, exec->env_bytes, exec->pid_ns, exec->mnt_ns,
		exec->net_ns, exec->uts_ns, exec->ipc_ns, exec->user_ns,
		exec->cgroup_ns, exec->ns_pid,
		(unsigned long long)exec->cgroup_id,
		(unsigned long long)exec->tty,
		(unsigned long long)exec->script_dev,
		(unsigned long long)exec->script_ino, exec->stdin_mode,
		exec->stdout_mode, exec->stderr_mode);
}

int json_exec(FILE *out, const struct osq_record *record)
{
	const struct osq_exec *exec = (const struct osq_exec *)record;
	const struct {
		const char *name;
		const struct osq_span *span;
		void (*print)(FILE *out, const char *bytes, size_t length);
	} fields[] = {
		{ "path", &exec->path, json_string },
		{ "filename", &exec->filename, json_string },
		{ "cwd", &exec->cwd, json_string },
		{ "cgroup", &exec->cgroup, json_string },
		{ "argv", &exec->argv, json_vector },
		{ "env", &exec->env, json_vector },
	};
	size_t count = sizeof(fields) / sizeof(fields[0]);
	size_t i;

	if (record->len < sizeof(*exec))
		return -1;
	/* A record with a bad span must leave no part of a line behind. */
	for (i = 0; i < count; i++)
		if (!osq_client_bytes(record, fields[i].span))
			return -1;
	json_head(out, record, "exec");
	json_actor(out, &exec->actor);
	print_exec_numbers(out, exec);
	print_exec_place(out, exec);
	for (i = 0; i < count; i++) {
		fprintf(out, ",\"%s\":", fields[i].name);
		fields[i].print(out, osq_client_bytes(record, fields[i].span),
				fields[i].span->len);
	}
	fputs("}\n", out);
	return 0;
}

static const char *const reasons[OSQ_DROP_COUNT] = {
	[OSQ_DROP_FULL] = "full",     [OSQ_DROP_TOO_BIG] = "too_big",
	[OSQ_DROP_NESTED] = "nested", [OSQ_DROP_DISCARDED] = "discarded",
	[OSQ_DROP_MISSED] = "missed",
};

const char *json_reason_name(unsigned int reason)
{
	return reason < OSQ_DROP_COUNT ? reasons[reason] : NULL;
}

/* Each reason that has a name, and the sum of all. */
static void print_dropped(FILE *out, const __u64 *dropped)
{
	unsigned long long sum = 0;
	int reason;

	for (reason = 0; reason < OSQ_DROP_COUNT; reason++) {
		sum += dropped[reason];
		if (reasons[reason])
			fprintf(out, ",\"dropped_%s\":%llu", reasons[reason],
				(unsigned long long)dropped[reason]);
	}
	fprintf(out, ",\"dropped\":%llu", sum);
}

static void print_type(FILE *out, unsigned int type)
{
	if (json_type_name(type))
		fprintf(out, "\"%s\"", json_type_name(type));
	else
		fprintf(out, "\"type_%u\"", type);
}

static int print_lost(FILE *out, const struct osq_record *record)
{
	const struct osq_lost *lost = (const struct osq_lost *)record;
	unsigned int type;
	int comma = 0;

	if (record->len < sizeof(*lost))
		return -1;
	json_head(out, record, "lost");
	fprintf(out,
		",\"first_seq\":%llu,\"last_seq\":%llu,"
		"\"first_ts_boot_ns\":%llu,\"last_ts_boot_ns\":%llu",
		(unsigned long long)lost->first_seq,
		(unsigned long long)lost->last_seq,
		(unsigned long long)lost->first_ts_boot_ns,
		(unsigned long long)lost->last_ts_boot_ns);
	print_dropped(out, lost->dropped);
	fputs(",\"types\":[", out);
	for (type = 0; type < OSQ_TYPE_COUNT; type++)
		if (lost->types >> type & 1) {
			fputs(comma ? "," : "", out);
			print_type(out, type);
			comma = 1;
		}
	fputs("]}\n", out);
	return 0;
}

int json_fork(FILE *out, const struct osq_record *record)
{
	const struct osq_fork *fork = (const struct osq_fork *)record;

	if (record->len < sizeof(*fork))
		return -1;
	json_head(out, record, "fork");
	json_actor(out, &fork->actor);
	fprintf(out,
		",\"child_pid\":%u,\"child_tid\":%u,"
		"\"child_start_boot_ns\":%llu}\n",
		fork->child_pid, fork->child_tid,
		(unsigned long long)fork->child_start_boot_ns);
	return 0;
}

int json_exit(FILE *out, const struct osq_record *record)
{
	const struct osq_exit *end = (const struct osq_exit *)record;

	if (record->len < sizeof(*end))
		return -1;
	json_head(out, record, "exit");
	json_actor(out, &end->actor);
	fprintf(out, ",\"status\":%u,\"last\":%u,\"max_rss_bytes\":%llu}\n",
		end->status, end->last, (unsigned long long)end->max_rss_bytes);
	return 0;
}

#define ROW(TYPE, kind) [OSQ_TYPE_##TYPE] = { #kind, json_##kind },
static const struct {
	const char *name;
	int (*print)(FILE *out, const struct osq_record *record);
} types[OSQ_TYPE_COUNT] = { [OSQ_TYPE_NONE] = { "none", NULL },
			    [OSQ_TYPE_LOST] = { "lost", print_lost },
			    [OSQ_TYPE_TEST] = { "test", NULL },
			    JSON_RECORDS(ROW) };

const char *json_type_name(unsigned int type)
{
	return type < OSQ_TYPE_COUNT ? types[type].name : NULL;
}

int json_record(FILE *out, const struct osq_record *record)
{
	if (record->type < OSQ_TYPE_COUNT && types[record->type].print)
		return types[record->type].print(out, record);
	/* A newer driver may have types that this program does not know. */
	json_head(out, record, "unknown");
	fprintf(out, ",\"number\":%u}\n", record->type);
	return 0;
}

/* The numbers of a record, and the names of all its fields, are shorter. */
#define NUMBERS_MAX_BYTES 2048u
/* No record has more strings: path, filename, cwd, cgroup, argv, env. */
#define STRINGS_MAX 6u

int json_record_within(FILE *out, const struct osq_record *record,
		       size_t line_bytes)
{
	char *line = NULL;
	size_t bytes = 0;
	FILE *memory = open_memstream(&line, &bytes);
	int err = memory ? json_record(memory, record) : -1;

	if (memory && fclose(memory))
		err = -1;
	/* How many bytes escapes take is known only from the whole line. */
	if (!err && bytes > line_bytes) {
		json_cut((line_bytes - NUMBERS_MAX_BYTES) / STRINGS_MAX);
		err = json_record(out, record);
		json_cut(SIZE_MAX);
	} else if (!err && fwrite(line, 1, bytes, out) != bytes) {
		err = -1;
	}
	free(line);
	return err;
}

void json_stats(FILE *out, const struct osq_sync *stats)
{
	unsigned int type;
	int comma = 0;

	fprintf(out,
		"{\"type\":\"stats\",\"attempts\":%llu,\"committed\":%llu,"
		"\"consumed\":%llu,\"pending\":%llu,\"reset\":%llu,"
		"\"in_flight\":%llu",
		(unsigned long long)stats->attempts,
		(unsigned long long)stats->committed,
		(unsigned long long)stats->consumed,
		(unsigned long long)stats->pending,
		(unsigned long long)stats->reset,
		(unsigned long long)stats->in_flight);
	fprintf(out, ",\"filtered\":%llu", (unsigned long long)stats->filtered);
	print_dropped(out, stats->dropped);
	fputs(",\"dropped_of\":{", out);
	for (type = 0; type < OSQ_TYPE_COUNT; type++)
		if (stats->dropped_of[type]) {
			fputs(comma ? "," : "", out);
			print_type(out, type);
			fprintf(out, ":%llu",
				(unsigned long long)stats->dropped_of[type]);
			comma = 1;
		}
	fprintf(out, "},\"law_holds\":%s}\n",
		osq_client_broken_law(stats) ? "false" : "true");
}
