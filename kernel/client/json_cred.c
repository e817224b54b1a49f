// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* json_cred.c - records of changed credentials as JSON Lines. */
#include "json_records.h"

#include "json_print.h"

static const char *const actions[] = {
	[OSQ_CRED_CALL] = "call",
	[OSQ_CRED_EXEC] = "exec",
	[OSQ_CRED_EITHER] = "either",
};

static const char *const parts[] = { "uids",	   "gids",    "caps",
				     "securebits", "user_ns", "groups" };

static void print_changed(FILE *out, unsigned int changed)
{
	const char *comma = "";
	size_t i;

	fputs(",\"changed\":[", out);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (changed >> i & 1) {
			fprintf(out, "%s\"%s\"", comma, parts[i]);
			comma = ",";
		}
	fputc(']', out);
}

static void print_side(FILE *out, const char *name,
		       const struct osq_cred_side *side)
{
	fprintf(out,
		",\"%s\":{\"uid\":%u,\"euid\":%u,\"suid\":%u,\"fsuid\":%u,"
		"\"gid\":%u,\"egid\":%u,\"sgid\":%u,\"fsgid\":%u",
		name, side->uid, side->euid, side->suid, side->fsuid, side->gid,
		side->egid, side->sgid, side->fsgid);
	fprintf(out,
		",\"permitted\":%llu,\"effective\":%llu,\"inheritable\":%llu,"
		"\"bounding\":%llu,\"ambient\":%llu,\"securebits\":%u,"
		"\"user_ns\":%u,\"groups\":%u}",
		(unsigned long long)side->permitted,
		(unsigned long long)side->effective,
		(unsigned long long)side->inheritable,
		(unsigned long long)side->bounding,
		(unsigned long long)side->ambient, side->securebits,
		side->user_ns, side->groups);
}

int json_cred(FILE *out, const struct osq_record *record)
{
	const struct osq_cred *cred = (const struct osq_cred *)record;

	if (record->len < sizeof(*cred))
		return -1;
	json_head(out, record, "cred");
	json_actor(out, &cred->actor);
	fprintf(out, ",\"action\":\"%s\",\"auid\":%u,\"session\":%u",
		JSON_NAME(actions, cred->action), cred->auid, cred->session);
	print_changed(out, cred->changed);
	print_side(out, "old", &cred->old);
	print_side(out, "now", &cred->now);
	fputs("}\n", out);
	return 0;
}
