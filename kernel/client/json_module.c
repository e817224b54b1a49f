// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* json_module.c - records of kernel modules as JSON Lines. */
#include "json_records.h"

#include "json_print.h"
#include "libosq.h"

static const char *const actions[] = {
	[OSQ_MODULE_LOADING] = "loading",
	[OSQ_MODULE_LOADED] = "loaded",
	[OSQ_MODULE_UNLOADING] = "unloading",
	[OSQ_MODULE_FAILED] = "failed",
};

int json_module(FILE *out, const struct osq_record *record)
{
	const struct osq_module *module = (const struct osq_module *)record;
	const struct {
		const char *name;
		const struct osq_span *span;
	} fields[] = {
		{ "name", &module->name },
		{ "version", &module->version },
		{ "srcversion", &module->srcversion },
		{ "args", &module->args },
		{ "path", &module->path },
	};
	size_t count = sizeof(fields) / sizeof(fields[0]);
	size_t i;

	if (record->len < sizeof(*module))
		return -1;
	for (i = 0; i < count; i++)
		if (!osq_client_bytes(record, fields[i].span))
			return -1;
	json_head(out, record, "module");
	json_actor(out, &module->actor);
	fprintf(out,
		",\"action\":\"%s\",\"taints\":%llu,\"size_bytes\":%llu,"
		"\"args_bytes\":%u,\"error\":%u,\"file_dev\":%llu,"
		"\"file_ino\":%llu",
		JSON_NAME(actions, module->action),
		(unsigned long long)module->taints,
		(unsigned long long)module->size_bytes, module->args_bytes,
		module->error, (unsigned long long)module->file_dev,
		(unsigned long long)module->file_ino);
	for (i = 0; i < count; i++) {
		fprintf(out, ",\"%s\":", fields[i].name);
		json_string(out, osq_client_bytes(record, fields[i].span),
			    fields[i].span->len);
	}
	fputs("}\n", out);
	return 0;
}
