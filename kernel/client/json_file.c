// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* json_file.c - file records as JSON Lines. */
#include "json_records.h"

#include "json_print.h"
#include "libosq.h"

static const char *const actions[] = {
	[OSQ_FILE_OPEN] = "open",     [OSQ_FILE_CLOSE_WRITE] = "close_write",
	[OSQ_FILE_RENAME] = "rename", [OSQ_FILE_UNLINK] = "unlink",
	[OSQ_FILE_CREATE] = "create", [OSQ_FILE_ATTRIB] = "attrib",
	[OSQ_FILE_LINK] = "link",     [OSQ_FILE_MODIFY] = "modify",
};

const char *json_file_action_name(unsigned int action)
{
	return action < sizeof(actions) / sizeof(*actions) ? actions[action]
							   : NULL;
}

static void print_action(FILE *out, unsigned int action)
{
	const char *name = json_file_action_name(action);

	if (name)
		fprintf(out, ",\"action\":\"%s\"", name);
	else
		fprintf(out, ",\"action\":\"action_%u\"", action);
}

static void print_numbers(FILE *out, const struct osq_file *file)
{
	fprintf(out,
		",\"uid\":%u,\"euid\":%u,\"suid\":%u,\"fsuid\":%u,"
		"\"gid\":%u,\"egid\":%u,\"sgid\":%u,\"fsgid\":%u,"
		"\"auid\":%u,\"session\":%u",
		file->uid, file->euid, file->suid, file->fsuid, file->gid,
		file->egid, file->sgid, file->fsgid, file->auid, file->session);
	fprintf(out,
		",\"mode\":%u,\"owner_uid\":%u,\"owner_gid\":%u,"
		"\"nlink\":%u,\"dev\":%llu,\"ino\":%llu",
		file->mode, file->owner_uid, file->owner_gid, file->nlink,
		(unsigned long long)file->dev, (unsigned long long)file->ino);
}

int json_file(FILE *out, const struct osq_record *record)
{
	const struct osq_file *file = (const struct osq_file *)record;
	const char *path, *dest;

	if (record->len < sizeof(*file))
		return -1;
	path = osq_client_bytes(record, &file->path);
	dest = osq_client_bytes(record, &file->dest_path);
	if (!path || !dest)
		return -1;
	json_head(out, record, "file");
	json_actor(out, &file->actor);
	print_action(out, file->action);
	print_numbers(out, file);
	fputs(",\"path\":", out);
	json_string(out, path, file->path.len);
	fputs(",\"dest_path\":", out);
	json_string(out, dest, file->dest_path.len);
	fputs("}\n", out);
	return 0;
}
