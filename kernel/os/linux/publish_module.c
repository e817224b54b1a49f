// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish_module.c - a record for every module that is loaded or unloaded, from
 * the kernel's own chain of notifiers.
 *
 * The chain is called in the process that loads or unloads, outside of all
 * locks but its own, and for each module, so nothing can be missed.
 */
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/string.h>

#include "compat.h"
#include "osq_linux.h"

/*
 * modinfo's texts can have any length; these limits are enough for the usual
 * ones.
 */
#define VERSION_MAX_BYTES 128u
#define SRCVERSION_MAX_BYTES 64u
#define ARGS_MAX_BYTES 512u

/* Small enough for the stack of a process that loads a module. */
struct module_record {
	struct osq_module module;
	char tail[MODULE_NAME_LEN + VERSION_MAX_BYTES + SRCVERSION_MAX_BYTES +
		  ARGS_MAX_BYTES];
};

static struct osq_ring *target;
static u64 chosen; /* OSQ_MODULE_OPT; 0: all */

/* 0 for a state that makes no record. */
static u32 action_of(unsigned long state)
{
	switch (state) {
	case MODULE_STATE_COMING:
		return OSQ_MODULE_LOADING;
	case MODULE_STATE_LIVE:
		return OSQ_MODULE_LOADED;
	case MODULE_STATE_GOING:
		return OSQ_MODULE_UNLOADING;
	default:
		return 0;
	}
}

/* Append @text, or nothing for NULL; the tail has room for @most bytes. */
static void append(struct module_record *record, struct osq_span *span,
		   const char *text, u32 most)
{
	struct osq_record *head = &record->module.head;

	span->off = head->len;
	span->len = text ? strnlen(text, most) : 0;
	memcpy((u8 *)record + span->off, text ?: "", span->len);
	head->len += span->len;
}

/* Once they are parsed, the kernel has cut them into pieces. */
static void put_args(struct module_record *record, const char *args)
{
	struct osq_module *module = &record->module;

	if (module->action != OSQ_MODULE_LOADING)
		args = NULL;
	append(record, &module->args, args, ARGS_MAX_BYTES);
	module->args_bytes = args ? strlen(args) : 0;
	if (module->args_bytes > module->args.len)
		module->head.flags |= OSQ_FLAG_TRUNC_ARGV;
}

static void encode(struct module_record *record, const struct module *module,
		   u32 action)
{
	osq_head_fill(&record->module.head, sizeof(record->module),
		      OSQ_TYPE_MODULE, &record->module.actor);
	record->module.action = action;
	record->module.taints = module->taints;
	record->module.size_bytes = osq_module_core_bytes(module);
	append(record, &record->module.name, module->name, MODULE_NAME_LEN);
	append(record, &record->module.version, module->version,
	       VERSION_MAX_BYTES);
	append(record, &record->module.srcversion, module->srcversion,
	       SRCVERSION_MAX_BYTES);
	put_args(record, osq_module_args(module));
}

static int on_module(struct notifier_block *block, unsigned long state,
		     void *data)
{
	u32 action = action_of(state);
	u64 asked = READ_ONCE(chosen);
	struct module_record record;

	if (!action || (asked && !(asked & OSQ_MODULE_OPT(action))) ||
	    !osq_filter_pass_task(target, OSQ_TYPE_MODULE, current))
		return NOTIFY_DONE;
	encode(&record, data, action);
	osq_publish(target, &record.module.head, OSQ_RANK_ROOT);
	return NOTIFY_DONE;
}

static struct notifier_block notifier = { .notifier_call = on_module };

/* osq_publish_module_start - see struct osq_publisher. Return: 0; -ENOMEM. */
int osq_publish_module_start(struct osq_ring *ring, u64 options)
{
	target = ring;
	osq_publish_module_configure(options);
	return register_module_notifier(&notifier);
}

/* osq_publish_module_configure - see struct osq_publisher. */
void osq_publish_module_configure(u64 options)
{
	WRITE_ONCE(chosen, options);
}

/*
 * osq_publish_module_stop - see struct osq_publisher.
 *
 * The kernel holds the chain's lock for reading while it calls on_module, and
 * takes it for writing here, so no call of on_module is left.
 */
void osq_publish_module_stop(void)
{
	unregister_module_notifier(&notifier);
}
